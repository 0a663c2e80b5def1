"""One connection to a MySQL or MariaDB server: what it is set to, how long it may take, its errors in our words."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import asyncmy
from asyncmy.cursors import Cursor, SSCursor
from asyncmy.errors import Error

from adapters.databases.mysql.address import address
from adapters.databases.mysql.reasons import reason
from domain.errors import Clash, Invalid, RollbookError, Unavailable

CONNECT_SECONDS = 10
END_SECONDS = 5
# Few: each may be as large as a server lets it be.
ROWS_AT_ONCE = 10
# What makes texts of values that any server reads back exactly, and quotes that mean what we think they mean. Values
# that a server let in once may be copied; what it would cut or round may not. Whatever the server's owner chose for
# others, a query answers all of its rows and references are checked.
EXACT = (
    "set names utf8mb4",
    "set session transaction read write",
    """set session time_zone = '+00:00', session sql_mode =
 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION'""",
    """set session sql_select_limit = 18446744073709551615, session sql_big_selects = 1, session sql_safe_updates = 0,
 session sql_auto_is_null = 0, session foreign_key_checks = 1, session unique_checks = 1,
 session net_write_timeout = 600""",
)
REFUSED = frozenset({1022, 1048, 1062, 1169, 1216, 1217, 1364, 1451, 1452, 1557, 1586, 1761, 3819, 4025})
TOO_LONG = frozenset({1969, 3024})
# The server or the way to it fails for a while; from 2000 on the numbers are the driver's own.
PASSING = frozenset({1021, 1037, 1040, 1041, 1053, 1129, 1130, 1203, 1205, 1206, 1213, 1927, 4031})


class Refused(Exception):
    """The server refused one statement, and went back to before it; the message is its own."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number
        self.message = message


@dataclass(frozen=True, slots=True)
class Session:
    """Statements of ours on one connection; texts of others are in them only as `quoting` writes them."""

    connection: Any

    @property
    def is_mariadb(self) -> bool:
        """Whether the server is MariaDB, which names a few things differently."""
        return "mariadb" in str(self.connection.get_server_info()).lower()

    async def execute(self, statement: str) -> int:
        """Runs a statement; answers how many rows it changed. Refused when the server goes on after an error."""
        try:
            return int(await self.connection.query(statement) or 0)
        except Error as problem:
            raise told(problem) from None

    async def rows(self, query: str) -> list[Any]:
        """All that a query answers."""
        async with self.connection.cursor(Cursor) as cursor:
            try:
                await cursor.execute(query)
                return list(await cursor.fetchall())
            except Error as problem:
                raise told(problem) from None

    async def one(self, query: str) -> Any:
        """The first row that a query answers, None without any."""
        found = await self.rows(query)
        return found[0] if found else None

    async def count(self, query: str) -> int:
        """The one number that a query answers."""
        return int((await self.one(query))[0])

    async def stream(self, query: str) -> AsyncIterator[Sequence[Any]]:
        """What a query answers in batches, as it comes. Whoever leaves in the middle ends the connection."""
        cursor, is_over = self.connection.cursor(SSCursor), False
        try:
            await cursor.execute(query)
            while batch := await cursor.fetchmany(ROWS_AT_ONCE):
                yield batch
            is_over = True
        except Error as problem:
            raise told(problem) from None
        finally:
            if not is_over:
                self.connection.close()


def told(problem: Error) -> Exception:
    """An error of the driver's as what is to be done about it."""
    number = problem.args[0] if problem.args and isinstance(problem.args[0], int) else 0
    if number < 1000 or 2000 <= number < 3000 or number in PASSING:
        return Unavailable(f"The database does not answer (error {number})")
    if number in TOO_LONG:
        return Invalid("The database took longer than it may")
    return Refused(number, str(problem.args[1]) if len(problem.args) > 1 else type(problem).__name__)


@asynccontextmanager
async def opened(dsn: str, timeout_seconds: int, side: str) -> AsyncIterator[Session]:
    """A session; its errors in words that tell nothing of the DSN. Who is cancelled ends the server's work as well."""
    try:
        facts = address(dsn)
        connection = await asyncmy.connect(
            **facts, connect_timeout=CONNECT_SECONDS, charset="utf8mb4", autocommit=True, program_name="rollbook"
        )
    except (Error, OSError, ValueError) as problem:
        raise Unavailable(f"The {side} does not answer as it should: {reason(problem)}") from None
    session = Session(connection)
    number, is_over = connection.thread_id(), False
    try:
        await prepare(session, timeout_seconds)
        yield session
        is_over = True
    except Refused as problem:
        kind = Clash if problem.number in REFUSED else Invalid
        is_over = True
        raise kind(f"The {side} refused: {problem.message}") from None
    except OSError as problem:
        raise Unavailable(f"The {side} does not answer ({type(problem).__name__})") from None
    except RollbookError:
        is_over = True
        raise
    finally:
        connection.close()
        if not is_over:
            await asyncio.shield(end(facts, number))


async def prepare(session: Session, timeout_seconds: int) -> None:
    """Sets what our statements rely on."""
    for statement in EXACT:
        await session.execute(statement)
    limit = "max_statement_time" if session.is_mariadb else "max_execution_time"
    scale = 1 if session.is_mariadb else 1000
    await session.execute(f"set session {limit} = {int(timeout_seconds) * scale}")


async def end(facts: dict[str, Any], number: int) -> None:
    """Ends what a connection of ours may still be doing on the server, which would not notice for long."""
    with suppress(Error, OSError, TimeoutError, Refused, Unavailable):
        async with asyncio.timeout(END_SECONDS):
            connection = await asyncmy.connect(**facts, connect_timeout=END_SECONDS, autocommit=True)
            try:
                await Session(connection).execute(f"kill {number}")
            finally:
                connection.close()
