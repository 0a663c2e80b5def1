"""Connections to databases of users: with limits of time, and errors in words that tell nothing of the address."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, errors, sql

from adapters.databases.postgresql.reasons import reason
from adapters.databases.postgresql.rights import refuse_event_store
from domain.errors import Clash, Invalid, Unavailable

TELL_ROWS = ("23502", "23514", "44000")
"""What a column, a check or a view refuses: the server goes on with the whole row."""

TOO_MUCH = "54"
"""The class of what no server takes, however often it is tried: too many columns, too long a value."""

CONNECT_SECONDS = 10
OURS: dict[str, Any] = {"application_name": "rollbook", "client_encoding": "UTF8"}
KEEPALIVE: dict[str, Any] = {"keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}


@asynccontextmanager
async def connected(
    dsn: str, what: str, timeout_seconds: int, lock_seconds: int
) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection; `what` says in errors which database it is to."""
    try:
        async with await AsyncConnection.connect(
            dsn, connect_timeout=CONNECT_SECONDS, autocommit=True, **OURS, **KEEPALIVE
        ) as connection:
            await limit(connection, timeout_seconds, lock_seconds)
            await refuse_event_store(connection)
            yield connection
    except errors.QueryCanceled:
        raise Invalid(f"The {what} took longer than {timeout_seconds} s to answer") from None
    except errors.IdleInTransactionSessionTimeout:
        raise Unavailable(f"The {what} heard nothing for too long, and took back what was begun") from None
    except errors.LockNotAvailable:
        raise Unavailable(f"Others held locks in the {what} for longer than {lock_seconds} s") from None
    except psycopg.IntegrityError as problem:
        raise Clash(f"The {what} refused: {said(problem)}") from None
    except errors.OperationalError as problem:
        if (problem.sqlstate or "").startswith(TOO_MUCH):
            raise Invalid(f"The {what} refused: {said(problem)}") from None
        raise Unavailable(f"The {what} does not answer as it should: {reason(problem)}") from None
    except psycopg.DatabaseError as problem:
        raise Invalid(f"The {what} refused: {said(problem)}") from None


async def limit(connection: AsyncConnection[Any], timeout_seconds: int, lock_seconds: int) -> None:
    """The server itself ends what takes too long, also when nobody here is left to do so."""
    for name, seconds in {
        "statement_timeout": timeout_seconds,
        "idle_in_transaction_session_timeout": timeout_seconds,
        "lock_timeout": lock_seconds,
    }.items():
        await connection.execute(sql.SQL("set {} = {}").format(sql.Identifier(name), seconds * 1000))


def said(problem: psycopg.Error) -> str:
    """What the server says; but never a whole row, as it may hold anything and this is kept for ever."""
    tells_rows = problem.sqlstate in TELL_ROWS
    parts = [problem.diag.message_primary, None if tells_rows else problem.diag.message_detail]
    return ": ".join([part.rstrip(".") for part in parts if part]) or type(problem).__name__
