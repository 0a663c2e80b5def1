"""Takes a deployment back: its rows go, what it changed is as it was; later writes are lost only when forced."""

from typing import Any

import orjson
from psycopg import AsyncConnection, sql

from adapters.databases.postgresql import marks
from adapters.databases.postgresql.attached import indexed, refuse_attached
from adapters.databases.postgresql.catalog import read_catalog
from adapters.databases.postgresql.cycles import edges, postponed
from adapters.databases.postgresql.facts import Facts, read_facts
from adapters.databases.postgresql.quoting import table_name
from adapters.databases.postgresql.staging import key_of_text
from application.ports.databases import Outcome, Report, TableOutcome
from domain.dataset import Table
from domain.errors import Clash, Invalid, NotFound

FOUND = """
select package, tables, rolled_back_at, number from rollbook_packages.deployments where deployment_id = %s
"""


async def undo(connection: AsyncConnection[Any], deployment_id: str, force: bool, report: Report) -> Outcome:
    """Children first, in the transaction that is open."""
    await marks.take_over(connection, deployment_id)
    package, columns, number = await deployment(connection, deployment_id)
    catalog = await read_catalog(connection)
    if lost := [name for name in columns if name not in catalog]:
        raise Invalid(f"The target has no table '{lost[0]}' any more")
    facts = await read_facts(connection, set(columns))
    tables = {name: catalog[name] for name in columns}
    takings = []
    for name, table in reversed(tables.items()):
        part, _ = await marks.part(connection, package, name)
        takings.append(Undoing(connection, number, part, name, table, facts[name], columns[name]))
    if not force:
        await refuse_losses(connection, takings)
    leaving = {taking.facts.oid: taking.leaving() for taking in takings if taking.key}
    outcomes: dict[str, TableOutcome] = {}
    oids, circles = [taking.facts.oid for taking in takings], edges(tables, facts, own_too=False)
    async with indexed(connection, oids), postponed(connection, circles, {}):
        for taking in takings:
            if taking.key and not force:
                await refuse_attached(connection, taking.facts.oid, taking.name, leaving)
            outcomes[taking.name] = await taking.run(force)
            report(taking.name, outcomes[taking.name].new + outcomes[taking.name].changed)
    await finish(connection, takings, number)
    return Outcome(outcomes)


async def finish(connection: AsyncConnection[Any], takings: list["Undoing"], number: int) -> None:
    """Notes that nothing is left of it."""
    for taking in takings:
        await taking.forget()
    await connection.execute(
        "update rollbook_packages.deployments set rolled_back_at = now() where number = %s", [number]
    )


async def deployment(connection: AsyncConnection[Any], deployment_id: str) -> tuple[str, dict[str, list[str]], int]:
    """The package, the columns of its tables, its number; NotFound, or Clash when it was taken back before."""
    if (await marks.one(connection, marks.NO_MARKS, []))[0]:
        raise NotFound("The target knows no such deployment")
    if (found := await marks.one(connection, FOUND, [deployment_id])) is None:
        raise NotFound("The target knows no such deployment")
    await marks.prepare(connection, found[0])
    found = await marks.one(connection, FOUND, [deployment_id])
    if found[2] is not None:
        raise Clash("The deployment was rolled back before")
    return found[0], orjson.loads(found[1]), found[3]


async def refuse_losses(connection: AsyncConnection[Any], takings: list["Undoing"]) -> None:
    """Clash when rows were changed since."""
    for taking in takings:
        if taking.key and (later := await taking.later_writes()):
            raise Clash(f"{later} rows of {taking.name} were changed since; force the rollback to lose those changes")


class Undoing:
    """Takes back what a deployment did to one table."""

    def __init__(
        self,
        connection: AsyncConnection[Any],
        number: int,
        part: int,
        name: str,
        table: Table,
        facts: Facts,
        columns: list[str],
    ) -> None:
        if lost := [column for column in columns if column not in facts.types]:
            raise Invalid(f"The target's table '{name}' has no column '{lost[0]}' any more")
        self.connection, self.name, self.facts, self.key = connection, name, facts, table.primary_key
        self.columns = [c for c in columns if c not in self.key and c not in facts.fixed]
        self.parts: dict[str, sql.Composable] = {
            "real": facts.own_rows(table_name(table)),
            "number": sql.Literal(number),
            "part": sql.Literal(part),
            "lineage": marks.lineage(part),
            "digest": facts.digest_of(columns),
            "same": same(table, facts),
        }

    def leaving(self) -> sql.Composable:
        """The rows of the table, as `t`, that will go."""
        query = """{real} t join {lineage} l
                     on l.inserted_by = {number} and {same}"""
        return sql.SQL(query).format(**self.parts)

    async def run(self, force: bool) -> TableOutcome:
        """Answers how many rows went, and how many are as they were."""
        if not self.key:
            return TableOutcome(await self.take_out_alike(force))
        gone = await self.execute(
            """delete from {real} t using {lineage} l
                where l.inserted_by = {number} and {same}"""
        )
        return TableOutcome(gone, await self.restore())

    async def take_out_alike(self, force: bool) -> int:
        """Of a table without a key, as many rows go as were inserted that look the same."""
        wanted = await self.execute("select from {lineage} where inserted_by = {number}")
        gone = await self.execute(
            """delete from {real} o using (
                   select t.tableoid as place, t.ctid as row, {digest} as digest,
                          row_number() over (partition by {digest}) as number from {real} t) alike
                     join (select digest, count(*) as most from {lineage}
                            where inserted_by = {number} group by digest) l using (digest)
                where alike.number <= l.most and o.ctid = alike.row and o.tableoid = alike.place"""
        )
        if gone < wanted and not force:
            raise Clash(f"{wanted - gone} rows of {self.name} were changed since; force the rollback to lose them")
        return gone

    async def later_writes(self) -> int:
        """How many rows are not what the deployment left: others wrote them, or it was followed by another."""
        return await self.execute(
            """select from (select source_key from {lineage}
                             where inserted_by = {number}
                            union select source_key from rollbook_packages.undo
                             where part = {part} and deployment = {number}) o
                 left join {lineage} l on l.source_key = o.source_key
                 left join {real} t on {same}
                where l.left_by is distinct from {number} or l.digest is distinct from {digest} or t.* is null"""
        )

    async def restore(self) -> int:
        """Puts the values back that rows had before."""
        if not self.columns:
            return 0
        query = "{} = (l.before::json ->> {})::{}"
        sets = [
            sql.SQL(query).format(sql.Identifier(name), sql.Literal(name), sql.SQL(self.facts.types[name]))
            for name in self.columns
        ]
        return await self.execute(
            """update {real} t set {sets} from rollbook_packages.undo l
                where l.part = {part} and l.deployment = {number} and {same}""",
            sets=sql.SQL(", ").join(sets),
        )

    async def forget(self) -> None:
        """What is noted is again what was noted before."""
        await self.execute("delete from {lineage} where inserted_by = {number}")
        await self.execute(
            """update {lineage} l
                  set digest = coalesce(u.digest_before, l.digest), left_by = coalesce(u.left_before, l.left_by)
                 from rollbook_packages.undo u
                where u.part = {part} and u.deployment = {number}
                  and l.source_key = u.source_key"""
        )
        await self.execute(
            """delete from {lineage} l using rollbook_packages.undo u
                where u.part = {part} and u.deployment = {number} and u.left_before is null
                  and l.source_key = u.source_key"""
        )
        await self.execute("update rollbook_packages.parts set fingerprint = null where part = {part}")
        await self.execute("delete from rollbook_packages.undo where part = {part} and deployment = {number}")

    async def execute(self, statement: str, **more: sql.Composable) -> int:
        """Runs a statement of ours on this table; answers how many rows it concerned."""
        query = sql.SQL(statement).format(**self.parts, **more)
        return (await self.connection.execute(query)).rowcount


def same(table: Table, facts: Facts) -> sql.Composable:
    """A row `t` of the table has the key that a note `l` tells."""
    key = table.primary_key
    if not key:
        return sql.SQL("false")
    pairs = [sql.SQL("t.{} = {}").format(sql.Identifier(n), key_of_text(key, facts, n)) for n in key]
    return sql.SQL(" and ").join(pairs)
