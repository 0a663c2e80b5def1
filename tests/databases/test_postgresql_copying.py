"""COPY gives every row once, in order, and says when the server stopped in the middle."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import psycopg
import pytest
from psycopg import AsyncConnection, sql

from adapters.databases.postgresql.copying import copied

ROWS = 20_000
NUMBERS = "copy (select n, repeat('x', n %% 300) from generate_series(1, {}) n) to stdout"
BROKEN = "copy (select n, repeat('x', 100), 1 / (n - {}) from generate_series(1, {}) n) to stdout"


def query(text: str, *numbers: int) -> sql.Composed:
    """A statement of these tests."""
    return sql.SQL(text.replace("%%", "%")).format(*map(sql.Literal, numbers))


async def rest(batches: AsyncIterator[bytes]) -> None:
    """Reads to the end."""
    async for _ in batches:
        pass


@pytest.mark.parametrize("rows", [0, 1, ROWS])
@pytest.mark.parametrize("most", [1, 1000, 1 << 18])
async def test_every_row_comes_once_and_whole(shop: str, rows: int, most: int) -> None:
    async with await AsyncConnection.connect(shop) as connection:
        batches = [batch async for batch in copied(connection, query(NUMBERS, rows), most)]
        assert all(batch.endswith(b"\n") for batch in batches)
        assert b"".join(batches) == b"".join(b"%d\t%b\n" % (n, b"x" * (n % 300)) for n in range(1, rows + 1))
        assert max(map(len, batches), default=0) <= most + 310
        assert (await (await connection.execute("select 1")).fetchone()) == (1,)


async def test_an_error_in_the_middle_is_told_and_never_an_end(shop: str) -> None:
    async with await AsyncConnection.connect(shop) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            await rest(copied(connection, query(BROKEN, ROWS - 1, ROWS), 1000))
        await connection.rollback()
        assert (await (await connection.execute("select 1")).fetchone()) == (1,)


async def test_a_server_that_goes_away_is_told(shop: str) -> None:
    async with await AsyncConnection.connect(shop) as connection:
        batches = copied(connection, query(NUMBERS, 100 * ROWS), 1000)
        assert await anext(batches)
        with psycopg.connect(shop, autocommit=True) as other:
            other.execute("select pg_terminate_backend(%s)", [connection.info.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            await rest(batches)


async def test_who_stops_early_may_go_on_with_the_connection(shop: str) -> None:
    async with await AsyncConnection.connect(shop, autocommit=True) as connection:
        async with aclosing(copied(connection, query(NUMBERS, 100 * ROWS), 1000)) as batches:
            async for _ in batches:
                break
        assert (await (await connection.execute("select 1")).fetchone()) == (1,)
