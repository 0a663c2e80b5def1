"""Takes a deployment back: its rows go, what it changed is as it was; later writes are lost only when forced."""

from collections.abc import Mapping
from typing import Any

import orjson
from psycopg import AsyncConnection, sql

from adapters.databases.postgresql import marks
from adapters.databases.postgresql.quoting import digest_of, table_name
from application.ports.databases import Outcome, Report, TableOutcome
from domain.dataset import Table
from domain.errors import Clash, Invalid, NotFound


async def undo(
    connection: AsyncConnection[Any], deployment_id: str, force: bool, catalog: Mapping[str, Table], report: Report
) -> Outcome:
    """Children first, in the transaction that is open."""
    package, tables = await deployment(connection, deployment_id)
    await marks.prepare(connection, package)
    outcomes: dict[str, TableOutcome] = {}
    for name, columns in reversed(tables.items()):
        if (table := catalog.get(name)) is None:
            raise Invalid(f"The target has no table '{name}' any more")
        undoing = Undoing(connection, deployment_id, package, name, table, columns)
        outcomes[name] = await undoing.run(force)
        report(name, outcomes[name].new + outcomes[name].changed)
    statement = "update rollbook_packages.deployments set rolled_back_at = now() where deployment_id = %s"
    await connection.execute(statement, [deployment_id])
    return Outcome(outcomes)


async def deployment(connection: AsyncConnection[Any], deployment_id: str) -> tuple[str, dict[str, list[str]]]:
    """The package and the columns of its tables; NotFound, or Clash when it was taken back before."""
    if (await marks.one(connection, marks.NO_MARKS, []))[0]:
        raise NotFound("The target knows no such deployment")
    query = """select package, tables, rolled_back_at from rollbook_packages.deployments
                where deployment_id = %s for update"""
    if (found := await marks.one(connection, query, [deployment_id])) is None:
        raise NotFound("The target knows no such deployment")
    if found[2] is not None:
        raise Clash("The deployment was rolled back before")
    return found[0], orjson.loads(found[1])


class Undoing:
    """Takes back what a deployment did to one table."""

    def __init__(
        self,
        connection: AsyncConnection[Any],
        deployment_id: str,
        package: str,
        name: str,
        table: Table,
        columns: list[str],
    ) -> None:
        self.connection = connection
        self.parts: dict[str, sql.Composable] = {
            "real": table_name(table),
            "deployment": sql.Literal(deployment_id),
            "package": sql.Literal(package),
            "name": sql.Literal(name),
            "digest": digest_of(columns),
            "same": same(table),
        }
        self.name = name
        self.columns = [column for column in table.columns if column.name in columns]
        self.key = table.primary_key

    async def run(self, force: bool) -> TableOutcome:
        """Answers how many rows went, and how many are as they were."""
        if not self.key:
            return TableOutcome(await self.take_out_alike(force))
        if not force and (later := await self.later_writes()):
            raise Clash(f"{later} rows of {self.name} were changed since; force the rollback to lose those changes")
        gone = await self.execute(
            """delete from {real} t using rollbook_packages.lineage l
                where l.inserted_by = {deployment} and l.table_name = {name} and {same}"""
        )
        await self.execute(
            "delete from rollbook_packages.lineage where inserted_by = {deployment} and table_name = {name}"
        )
        return TableOutcome(gone, await self.restore())

    async def take_out_alike(self, force: bool) -> int:
        """Of a table without a key, as many rows go as were inserted that look the same."""
        inserted = "select from rollbook_packages.lineage where inserted_by = {deployment} and table_name = {name}"
        wanted = await self.execute(inserted)
        gone = await self.execute(
            """delete from {real} where ctid in (
                   select alike.ctid
                     from (select t.ctid, {digest} as digest, row_number() over (partition by {digest}) as number
                             from {real} t) alike
                     join (select digest, count(*) as most from rollbook_packages.lineage
                            where inserted_by = {deployment} and table_name = {name} group by digest) left_there
                    using (digest) where alike.number <= left_there.most)"""
        )
        if gone < wanted and not force:
            raise Clash(f"{wanted - gone} rows of {self.name} were changed since; force the rollback to lose them")
        await self.execute(inserted.replace("select", "delete", 1))
        return gone

    async def later_writes(self) -> int:
        """How many rows are not what the deployment left."""
        return await self.execute(
            """select from rollbook_packages.lineage l left join {real} t on {same}
                where l.package = {package} and l.table_name = {name}
                  and (l.inserted_by = {deployment} or l.target_key in (
                       select target_key from rollbook_packages.undo
                        where deployment_id = {deployment} and table_name = {name}))
                  and l.digest is distinct from {digest}"""
        )

    async def restore(self) -> int:
        """Puts the values back that rows had before."""
        free = [column for column in self.columns if column.name not in self.key]
        sets = [
            sql.SQL("{} = (l.before::json ->> {})::{}").format(
                sql.Identifier(column.name), sql.Literal(column.name), sql.SQL(column.data_type)
            )
            for column in free
        ]
        if not sets:
            return 0
        restored = await self.execute(
            """update {real} t set {sets} from rollbook_packages.undo l
                where l.deployment_id = {deployment} and l.table_name = {name} and {same}""",
            sets=sql.SQL(", ").join(sets),
        )
        await self.execute(
            """update rollbook_packages.lineage l set digest = coalesce(u.digest_before, l.digest)
                 from rollbook_packages.undo u
                where u.deployment_id = {deployment} and u.table_name = {name} and l.package = {package}
                  and l.table_name = u.table_name and l.source_key = u.source_key"""
        )
        return restored

    async def execute(self, statement: str, **more: sql.Composable) -> int:
        """Runs a statement of ours on this table; answers how many rows it concerned."""
        query = sql.SQL(statement).format(**self.parts, **more)
        return (await self.connection.execute(query)).rowcount


def same(table: Table) -> sql.Composed:
    """A row `t` of the table has the key that a note `l` tells."""
    types = {column.name: column.data_type for column in table.columns}
    return sql.SQL(" and ").join(
        [
            sql.SQL("t.{} = (l.target_key::json ->> {})::{}").format(
                sql.Identifier(name), sql.Literal(number), sql.SQL(types[name])
            )
            for number, name in enumerate(table.primary_key)
        ]
    )
