"""What COPY gives, many rows at a time: handed out one by one, rows take longer here than on the server."""

from collections.abc import AsyncGenerator
from typing import Any

from psycopg import AsyncConnection, sql
from psycopg.abc import PQGen
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn
from psycopg.waiting import Wait


async def copied(connection: AsyncConnection[Any], copy: sql.Composed, most: int) -> AsyncGenerator[bytes, None]:
    """Whole rows with their line ends, about `most` bytes of them at a time."""
    ended = False
    async with connection.cursor() as cursor, cursor.copy(copy):
        while not ended:
            rows, ended = await connection.wait(some(connection.pgconn, most))
            if rows:
                yield rows


def some(pgconn: PGconn, most: int) -> PQGen[tuple[bytes, bool]]:
    """The next rows, and whether they were the last."""
    held, size = list[bytes](), 0
    while size < most:
        length, row = pgconn.get_copy_data(1)
        if length < 0:
            yield from succeeded(pgconn)
            return b"".join(held), True
        if length:
            held.append(bytes(row))
            size += length
        else:
            yield from more(pgconn)
    return b"".join(held), False


def succeeded(pgconn: PGconn) -> PQGen[None]:
    """Raises what the server says instead of having sent everything."""
    problem = None
    while True:
        while pgconn.is_busy():
            yield from more(pgconn)
        if (result := pgconn.get_result()) is None:
            break
        if result.status != ExecStatus.COMMAND_OK:
            problem = error_from_result(result)
    if problem:
        raise problem


def more(pgconn: PGconn) -> PQGen[None]:
    """Waits until the server has sent something."""
    while not (yield Wait.R):
        pass
    pgconn.consume_input()
