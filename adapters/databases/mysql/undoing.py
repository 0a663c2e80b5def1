"""Takes a deployment back: its rows go, what it changed is as it was; later writes are lost only when forced."""

from collections.abc import Mapping, Sequence

import orjson

from adapters.databases.mysql import marks
from adapters.databases.mysql.catalog import read_types
from adapters.databases.mysql.marks import DEPLOYMENTS, LINEAGE, UNDO
from adapters.databases.mysql.quoting import columns_of, digest, from_text, indexed, literal, member, name
from adapters.databases.mysql.redeploying import forget
from adapters.databases.mysql.session import Session
from application.ports.databases import Outcome, Report, TableOutcome
from domain.dataset import ForeignKey, Table
from domain.errors import Clash, Invalid, NotFound


async def undo(
    session: Session, deployment_id: str, force: bool, catalog: Mapping[str, Table], report: Report
) -> Outcome:
    """What was changed first, then what came along, children first; in a transaction of its own."""
    package, tables = await deployment(session, deployment_id)
    await marks.prepare(session, package, False)
    undoings = [
        Undoing(session, deployment_id, number, table_of(catalog, called), columns, await read_types(session, called))
        for number, (called, columns) in enumerate(reversed(tables.items()))
    ]
    for undoing in undoings:
        await undoing.prepare()
    await session.execute("start transaction")
    await deployment(session, deployment_id, " for update")
    changed = {undoing.table.name: await undoing.restore(force) for undoing in undoings}
    outcomes: dict[str, TableOutcome] = {}
    for undoing in undoings:
        called = undoing.table.name
        outcomes[called] = TableOutcome(await undoing.take_out(force, catalog, undoings), changed[called])
        report(called, outcomes[called].new + outcomes[called].changed)
    await forget(session, package)
    await session.execute(
        f"""update {DEPLOYMENTS} set rolled_back_at = utc_timestamp(6)
             where deployment_id = {literal(deployment_id)}"""
    )
    await session.execute("commit")
    return Outcome(outcomes)


def table_of(catalog: Mapping[str, Table], called: str) -> Table:
    """A table that was written to."""
    if (found := catalog.get(called)) is None:
        raise Invalid(f"The target has no table '{called}' any more")
    return found


async def deployment(session: Session, deployment_id: str, how: str = "") -> tuple[str, dict[str, list[str]]]:
    """The package and the columns of its tables; NotFound, or Clash when it was taken back before."""
    if DEPLOYMENTS not in await marks.known(session):
        raise NotFound("The target knows no such deployment")
    found = await session.one(
        f"""select package, tables, rolled_back_at is not null from {DEPLOYMENTS}
             where deployment_id = {literal(deployment_id)}{how}"""
    )
    if found is None:
        raise NotFound("The target knows no such deployment")
    if found[2]:
        raise Clash("The deployment was rolled back before")
    return found[0], orjson.loads(found[1])


class Undoing:
    """Takes back what a deployment did to one table."""

    def __init__(
        self,
        session: Session,
        deployment_id: str,
        number: int,
        table: Table,
        columns: Sequence[str],
        types: Mapping[str, str],
    ) -> None:
        self.session = session
        self.number = number
        self.table = table
        self.types = types
        known = {column.name: column for column in table.columns}
        if lacking := [column for column in columns if column not in known]:
            raise Invalid(f"The target's table '{table.name}' has no column '{lacking[0]}' any more")
        self.columns = [known[column] for column in columns]
        self.key = [known[column] for column in table.primary_key]
        self.mine = f"inserted_by = {literal(deployment_id)} and table_name = {literal(table.name)}"
        self.images = f"deployment_id = {literal(deployment_id)} and table_name = {literal(table.name)}"
        self.digest = digest(self.columns, columns_of("t", self.columns))
        self.shape = f"unhex(md5({literal(','.join(columns))}))"

    async def prepare(self) -> None:
        """Makes the tables of the keys that are concerned, in the types of the target, before the transaction."""
        keys = [f"k{place} {self.types[column.name]}" for place, column in enumerate(self.key)]
        members = ["id bigint auto_increment primary key", *keys, "hash binary(16)", "digest binary(16)"]
        members += ["shape binary(16)", "image longtext character set utf8mb4"]
        parts = [indexed(column, f"k{place}") for place, column in enumerate(self.key)]
        members += [f"index ({', '.join(parts)})"] if parts else []
        for kind in ("gone", "also", "back"):
            called = f"rollbook_{kind}_{self.number}"
            await self.session.execute(f"create temporary table {called} ({', '.join(members)}) engine = innodb")
        for kind in ("gone", "also"):
            values = self.told("l.target_key")
            await self.session.execute(
                f"""insert into rollbook_{kind}_{self.number} ({self.places(["hash", "digest", "shape"])})
                      select {", ".join([*values, "l.hash", "l.digest", "l.shape"])}
                        from {LINEAGE} l where {self.mine}"""
            )
        values = self.told("u.target_key")
        await self.session.execute(
            f"""insert into rollbook_back_{self.number} ({self.places(["hash", "digest", "shape", "image"])})
                  select {", ".join([*values, "u.hash", "l.digest", "l.shape", "u.before_image"])}
                    from {UNDO} u left join {LINEAGE} l on l.hash = u.hash
                   where u.{self.images.replace(" and table_name", " and u.table_name")} order by u.id"""
        )

    def told(self, text: str) -> list[str]:
        """A key out of its text."""
        return [from_text(column, member(text, place)) for place, column in enumerate(self.key)]

    def places(self, more: list[str]) -> str:
        """The columns of the tables of keys."""
        return ", ".join([*(f"k{place}" for place in range(len(self.key))), *more])

    def same(self, alias: str, real: str = "t") -> str:
        """A row of the table has a key of ours."""
        return " and ".join([f"{real}.{name(c.name)} = {alias}.k{place}" for place, c in enumerate(self.key)])

    async def refuse_later(self, kind: str) -> None:
        """Clash when rows are not what the deployment left."""
        later = await self.session.count(
            f"""select count(*) from rollbook_{kind}_{self.number} g
                  left join {name(self.table.name)} t on {self.same("g")}
                 where t.{name(self.key[0].name)} is null or not g.digest <=> {self.digest}
                    or not g.shape <=> {self.shape}"""
        )
        if later:
            raise Clash(
                f"{later} rows of {self.table.name} were changed since; force the rollback to lose those changes"
            )

    async def restore(self, force: bool) -> int:
        """Puts the values back that rows had before; answers how many."""
        free = [(n, column) for n, column in enumerate(self.columns) if column.name not in self.table.primary_key]
        if self.key and not force:
            await self.refuse_later("gone")
            await self.refuse_later("back")
        if not (self.key and free):
            return 0
        sets = [f"t.{name(c.name)} = {from_text(c, member('b.image', n))}" for n, c in free]
        await self.session.execute(
            f"""update {LINEAGE} l join {UNDO} u on u.hash = l.hash
                   set l.digest = coalesce(u.digest_before, l.digest), l.shape = coalesce(u.shape_before, l.shape)
                 where u.{self.images.replace(" and table_name", " and u.table_name")}"""
        )
        there = f"rollbook_back_{self.number} b straight_join {name(self.table.name)} t on {self.same('b')}"
        await self.session.execute(f"update {there} set {', '.join(sets)}")
        return await self.session.count(f"select count(*) from {there}")

    async def take_out(self, force: bool, catalog: Mapping[str, Table], others: Sequence["Undoing"]) -> int:
        """Deletes what came along; answers how many rows went."""
        if not self.key:
            gone = await self.take_out_alike(force)
        else:
            gone = await self.delete(force, catalog, {other.table.name: other for other in others})
        await self.session.execute(f"delete from {LINEAGE} where {self.mine}")
        return gone

    async def delete(self, force: bool, catalog: Mapping[str, Table], others: Mapping[str, "Undoing"]) -> int:
        """Deletes by key. Where tables refer in a circle the server's checks are off, and the same is asked here."""
        circle = False
        for key in [
            k for table in catalog.values() for k in table.foreign_keys if k.referenced_table == self.table.name
        ]:
            child = others.get(key.table)
            is_later = child is not None and child.number >= self.number
            circle = circle or is_later
            if not force or is_later:
                await self.refuse_dependants(key, child if is_later else None)
        await self.session.execute(f"set session foreign_key_checks = {0 if circle else 1}")
        gone = await self.session.execute(
            f"""delete t from rollbook_gone_{self.number} g
                 straight_join {name(self.table.name)} t on {self.same("g")}"""
        )
        await self.session.execute("set session foreign_key_checks = 1")
        return gone

    async def refuse_dependants(self, key: ForeignKey, child: "Undoing | None") -> None:
        """Clash when rows that stay refer to rows that go: they would be changed, deleted or left alone with it."""
        pairs = zip(key.columns, key.referenced_columns, strict=True)
        refers = " and ".join([f"c.{name(column)} = t.{name(parent)}" for column, parent in pairs])
        going, stays = "", "true"
        if child is not None and child.key:
            going = f"left join rollbook_also_{child.number} a on {child.same('a', 'c')}"
            stays = "a.id is null"
        found = await self.session.count(
            f"""select count(*) from rollbook_gone_{self.number} g
                  straight_join {name(self.table.name)} t on {self.same("g")}
                  join {name(key.table)} c on {refers} {going} where {stays} lock in share mode"""
        )
        if found:
            raise Clash(
                f"{found} rows of {key.table} refer to rows of {self.table.name} that came with the deployment; "
                "force the rollback to lose what the database does not keep"
            )

    async def take_out_alike(self, force: bool) -> int:
        """Of a table without a key, as many rows go as were inserted that look the same."""
        real, alike = name(self.table.name), f"rollbook_alike_{self.number}"
        await self.session.execute(
            f"""create temporary table {alike} (digest binary(16) primary key, came bigint, there bigint default 0)
                  engine = innodb select digest, count(*) as came from {LINEAGE} where {self.mine} group by digest"""
        )
        await self.session.execute(
            f"""update {alike} a join (select {self.digest} as digest, count(*) as there from {real} t group by 1) x
                  on x.digest = a.digest set a.there = x.there"""
        )
        wanted = await self.session.count(f"select coalesce(sum(came), 0) from {alike}")
        gone = await self.session.execute(
            f"delete t from {real} t straight_join {alike} a on a.digest = {self.digest} where a.there <= a.came"
        )
        bare = digest(self.columns, columns_of(real, self.columns))
        for found, count in await self.session.rows(f"select hex(digest), came from {alike} where there > came"):
            gone += await self.session.execute(f"delete from {real} where {bare} = x'{found}' limit {count}")
        if gone < wanted and not force:
            raise Clash(
                f"{wanted - gone} rows of {self.table.name} were changed since; force the rollback to lose them"
            )
        return gone
