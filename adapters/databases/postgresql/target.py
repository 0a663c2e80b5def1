"""Deploying into PostgreSQL: all rows in one transaction, set by set, with what is needed to go back."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql

from adapters.databases.postgresql import marks
from adapters.databases.postgresql.catalog import read_catalog, written
from adapters.databases.postgresql.keys import resolve
from adapters.databases.postgresql.reading import CONNECT_SECONDS, EXACT
from adapters.databases.postgresql.rights import refuse_event_store
from adapters.databases.postgresql.staging import Stage
from adapters.databases.postgresql.undoing import undo
from adapters.databases.postgresql.writing import write
from application.ports.databases import Contents, Order, Outcome, Report, TableOutcome
from domain.dataset import DatabaseKind, Table
from domain.errors import Clash, Invalid, Unavailable

KEYS_SHOWN = 100


class DryRun(Exception):
    """Everything was done; nothing of it is to stay."""


@dataclass(frozen=True, slots=True)
class PostgresTarget:
    """See the port."""

    dsn: str = field(repr=False)
    timeout_seconds: int = 3600
    kind: DatabaseKind = DatabaseKind.POSTGRESQL

    async def catalog(self) -> Mapping[str, Table]:
        """Every table that rows may be deployed to."""
        async with self.connected() as connection:
            return await read_catalog(connection)

    async def deploy(self, contents: Contents, order: Order, report: Report) -> Outcome:
        """All or nothing; what was made before under this id is only told again."""
        outcome: Outcome | None = None
        async with self.connected() as connection:
            try:
                async with connection.transaction():
                    outcome = await self.deploy_within(connection, contents, order, report)
                    if order.options.dry_run:
                        raise DryRun
            except DryRun:
                pass
        assert outcome is not None
        return outcome

    async def deploy_within(
        self, connection: AsyncConnection[Any], contents: Contents, order: Order, report: Report
    ) -> Outcome:
        """The deployment, in the transaction that is open."""
        await connection.execute(EXACT.encode())
        await marks.prepare(connection, order.package)
        if before := await marks.made_before(connection, order.deployment_id):
            return before
        stages = staged(contents, await read_catalog(connection))
        for stage in stages:
            await stage.make(connection)
            await stage.fill(connection, contents.rows(stage.name))
        for stage in stages:
            await resolve(connection, stage, order.package, contents.match_keys.get(stage.name, ()))
        tables: dict[str, TableOutcome] = {}
        for stage in stages:
            tables[stage.name] = await write(connection, stage, order)
            report(stage.name, tables[stage.name].new + tables[stage.name].changed + tables[stage.name].same)
        outcome = Outcome(tables, {stage.name: await keys_of(connection, stage) for stage in stages if stage.generates})
        await marks.mark(connection, order, {s.name: [c.name for c in s.columns] for s in stages}, outcome)
        return outcome

    async def roll_back(self, deployment_id: str, force: bool, report: Report) -> Outcome:
        """Restores what was before."""
        async with self.connected() as connection, connection.transaction():
            await connection.execute(EXACT.encode())
            return await undo(connection, deployment_id, force, await read_catalog(connection), report)

    async def keys(self, deployment_id: str, table: str) -> AsyncIterator[Sequence[tuple[str, str]]]:
        """The whole mapping of source keys to target keys."""
        query = """select l.source_key, l.target_key
                     from rollbook_packages.lineage l join rollbook_packages.deployments d using (package)
                    where d.deployment_id = %s and l.table_name = %s order by l.source_key"""
        async with self.connected() as connection, connection.transaction(), connection.cursor("keys") as cursor:
            await cursor.execute(query, [deployment_id, table])
            while batch := await cursor.fetchmany(1000):
                yield [(source, target) for source, target in batch]

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection; its errors in words that tell nothing of the DSN."""
        try:
            async with await AsyncConnection.connect(
                self.dsn, connect_timeout=CONNECT_SECONDS, application_name="rollbook", autocommit=True
            ) as connection:
                limit = sql.SQL("set statement_timeout = {}").format(self.timeout_seconds * 1000)
                await connection.execute(limit)
                await refuse_event_store(connection)
                yield connection
        except psycopg.IntegrityError as problem:
            raise Clash(f"The target refused: {problem.diag.message_primary}") from None
        except (psycopg.DataError, psycopg.ProgrammingError) as problem:
            raise Invalid(f"The target refused: {problem.diag.message_primary or type(problem).__name__}") from None
        except psycopg.OperationalError as problem:
            raise Unavailable(f"The target does not answer ({type(problem).__name__})") from None


def staged(contents: Contents, catalog: Mapping[str, Table]) -> list[Stage]:
    """A stage for each table, parents first; Invalid names what the target lacks."""
    stages: dict[str, Stage] = {}
    for number, packed in enumerate(contents.tables):
        name = written(packed.schema, packed.name)
        if (table := catalog.get(name)) is None:
            raise Invalid(f"The target has no table '{name}'")
        known = {column.name for column in table.columns if not column.is_generated}
        if lacking := [column.name for column in packed.packed_columns if column.name not in known]:
            raise Invalid(f"The target's table '{name}' has no column '{lacking[0]}'")
        stages[name] = Stage(number, name, table, packed)
    for stage in stages.values():
        stage.references = references(stage, stages)
    return list(stages.values())


def references(stage: Stage, stages: Mapping[str, Stage]) -> list[tuple[int, Any, Stage]]:
    """The columns whose values are those of packaged rows that are others in the target, each once."""
    found: dict[int, tuple[int, Any, Stage]] = {}
    for key in stage.packed.foreign_keys:
        parent = stages.get(key.referenced_table)
        if parent is None or not (stage.packs(key.columns) and parent.packs(key.referenced_columns)):
            continue
        for name, referenced in zip(key.columns, key.referenced_columns, strict=True):
            if parent.moves(referenced):
                found.setdefault(stage.place(name), (stage.place(name), key, parent))
    return list(found.values())


async def keys_of(connection: AsyncConnection[Any], stage: Stage) -> dict[str, str]:
    """Some of the mapping, for the answer."""
    query = sql.SQL("select source_key, k0::text from {} where source_key is not null order by line limit {}")
    found = await connection.execute(query.format(stage.temporary, KEYS_SHOWN))
    return dict(await found.fetchall())
