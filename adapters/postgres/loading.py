"""Loads a whole past into an empty store, as its owner: its events stand at moments of their own."""

from collections.abc import Callable, Iterable
from typing import Any

import psycopg
from psycopg import sql

from adapters.postgres.backup import Connection, connected, table
from adapters.postgres.backup_archive import BackupRefused
from adapters.postgres.backup_exchange import APPEND_LOCK
from adapters.postgres.backup_manifest import TABLES
from adapters.postgres.backup_restore import look, refuse_company
from adapters.postgres.ledger import Ledger
from domain.errors import Clash

TYPES = ("int8", "int8", "uuid", "text", "int4", "text", "int4", "text", "int8", "timestamptz", *["bytea"] * 4)
EVERY = 1000
Progress = Callable[[int, int], None]


async def refuse_full(owner_url: str) -> None:
    """Clash unless nothing was ever recorded and nobody is at work."""
    async with connected(owner_url, "rollbook demo") as connection:
        await refuse_events(connection)
        try:
            await refuse_company(connection)
        except BackupRefused:
            raise Clash("Rollbook runs on this store: stop it first") from None


async def refuse_events(connection: Connection) -> None:
    """Nobody's log is mixed with what never happened."""
    if found := (await look(connection)).last_position:
        raise Clash(f"The store has {found} events already: a demonstration is only put into an empty one")


async def load(owner_url: str, ledger: Ledger, progress: Progress) -> None:
    """All or nothing. Nobody can append meanwhile, nor has before."""
    async with connected(owner_url, "rollbook demo") as connection:
        async with connection.transaction():
            await connection.execute(sql.SQL("select pg_advisory_xact_lock({})").format(sql.Literal(APPEND_LOCK)))
            await refuse_events(connection)
            await copy(connection, "events", TYPES, ledger.rows, lambda done: progress(done, len(ledger.rows)))
            keys = [(organisation, key, stream_id) for (organisation, key), stream_id in ledger.keys.items()]
            await copy(connection, "taken_keys", ("text", "text", "text"), keys, lambda done: None)
            await connection.execute("select pg_notify('rollbook_events', %s)", [str(len(ledger.rows))])
        await connection.execute("analyze rollbook.events")


async def copy(
    connection: psycopg.AsyncConnection[Any],
    name: str,
    types: Iterable[str],
    rows: Iterable[tuple[Any, ...]],
    tell: Callable[[int], None],
) -> None:
    """Puts rows into a table."""
    columns = sql.SQL(", ").join(map(sql.Identifier, TABLES[name]))
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(table(name), columns)
    async with connection.cursor() as cursor, cursor.copy(statement) as stream:
        stream.set_types(list(types))
        for done, row in enumerate(rows, 1):
            await stream.write_row(row)
            if done % EVERY == 0:
                tell(done)
