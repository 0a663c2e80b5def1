"""One deployment into MySQL or MariaDB, from the staged rows to the commit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adapters.databases.mysql import checking, marks, writing
from adapters.databases.mysql.catalog import read_catalog, read_types, refuse_others, refuse_without_transactions
from adapters.databases.mysql.keys import resolve, resolve_late
from adapters.databases.mysql.loading import Loading
from adapters.databases.mysql.quoting import key_shown
from adapters.databases.mysql.redeploying import is_unchanged, keep_fingerprint, known_keys
from adapters.databases.mysql.rehearsing import rehearse
from adapters.databases.mysql.sampling import difference
from adapters.databases.mysql.session import Session
from adapters.databases.mysql.staging import Stage, connected
from adapters.databases.ordering import ordered
from application.ports.databases import Contents, Difference, Order, Outcome, Report, TableOutcome
from domain.dataset import Table
from domain.errors import Clash, Invalid

KEYS_SHOWN = 1000
LISTED = 1000


@dataclass(frozen=True, slots=True)
class Deploying:
    """The stages of a deployment, parents first as far as there are no cycles."""

    session: Session
    order: Order
    is_dry: bool
    catalog: Mapping[str, Table]
    stages: Sequence[Stage]

    @classmethod
    async def of(cls, session: Session, contents: Contents, order: Order, is_dry: bool) -> "Deploying":
        """Holds the package against the target; Invalid names what the target lacks."""
        catalog = await read_catalog(session)
        stages: dict[str, Stage] = {}
        await refuse_others(session, [packed.name for packed in contents.tables], "deployed to")
        for number, packed in enumerate(contents.tables):
            table = fitting(packed, catalog, stages)
            match = contents.match_keys.get(table.name, ())
            stages[table.name] = Stage(number, table, packed, await read_types(session, table.name), match)
        await refuse_without_transactions(session, stages)
        keys = [key for stage in stages.values() for key in (*stage.table.foreign_keys, *stage.packed.foreign_keys)]
        names = ordered(list(stages), keys)
        connected(stages, catalog, names)
        for stage in stages.values():
            stage.check()
        return cls(session, order, is_dry, catalog, [stages[name] for name in names])

    async def run(self, contents: Contents, report: Report) -> Outcome:
        """Everything in one transaction; all or nothing, unless rows may be left out."""
        if outcome := await self.repeat(contents, report):
            return outcome
        await self.prepare(contents, report)
        if self.order.options.update_existing:
            await self.find_changed()
        await self.refuse_existing()
        await self.check_references()
        if self.is_dry:
            await self.rehearse()
        else:
            await self.write(report)
        outcome = Outcome(
            {stage.name: await self.outcome(stage) for stage in self.stages},
            {stage.name: await self.keys(stage) for stage in self.stages if stage.generates},
        )
        return await self.end(outcome)

    async def repeat(self, contents: Contents, report: Report) -> Outcome | None:
        """When everything is there as it is in the package, that is all; told only where rows are not to be changed."""
        options, package = self.order.options, self.order.package
        if not options.skip_existing or options.update_existing:
            return None
        if not await is_unchanged(self.session, self.stages, contents, package):
            return None
        tables: dict[str, TableOutcome] = {}
        await self.session.execute("start transaction")
        for stage in self.stages:
            report(stage.name, stage.rows)
            tables[stage.name] = TableOutcome(same=stage.rows)
        generating = [stage for stage in self.stages if stage.generates]
        keys = {stage.name: await known_keys(self.session, stage, package, KEYS_SHOWN) for stage in generating}
        return await self.end(Outcome(tables, keys))

    async def end(self, outcome: Outcome) -> Outcome:
        """Notes the deployment with its rows; of a dry run nothing stays."""
        if not self.is_dry:
            tables = {stage.name: [column.name for column in stage.columns] for stage in self.stages}
            await marks.mark(self.session, self.order, tables, outcome)
        await self.session.execute("rollback" if self.is_dry else "commit")
        return outcome

    async def prepare(self, contents: Contents, report: Report) -> None:
        """Stages the rows before the transaction begins, and finds in it what is there of them."""
        for stage in self.stages:
            await stage.make(self.session)
            loading = Loading(self.session, stage, self.order.package, self.order.options.continue_on_error)
            await loading.run(contents, report)
        await self.session.execute("start transaction")
        for stage in self.stages:
            await resolve(self.session, stage, self.order.package, self.is_dry)
        for stage in self.stages:
            await resolve_late(self.session, stage, self.order.package)

    async def find_changed(self) -> None:
        """Marks the rows that are there with other values."""
        for stage in self.stages:
            await writing.find_changed(self.session, stage)

    async def refuse_existing(self) -> None:
        """Rows that are there must be skipped or updated, and nobody else may have changed what is updated."""
        options = self.order.options
        for stage in self.stages:
            if not (options.skip_existing or options.update_existing):
                await self.refuse(stage, "s.found and s.failed is null", "exist in the target; skip or update them")
            elif options.update_existing and not options.force and stage.key:
                await self.refuse_drift(stage)

    async def refuse(self, stage: Stage, which: str, why: str) -> None:
        """Clash, or marks the rows that are left out."""
        found = await self.session.count(f"select count(*) from {stage.temporary} s where {which}")
        if found and not self.order.options.continue_on_error:
            raise Clash(f"{found} rows of {stage.name} {why}")
        if found:
            await writing.fail(self.session, stage, which, f"It is one of the rows that {why}")

    async def refuse_drift(self, stage: Stage) -> None:
        """Rows that somebody changed since this package left them are not overwritten, unless forced."""
        await self.session.execute(f"create temporary table rollbook_drift_{stage.number} (line bigint primary key)")
        await self.session.execute(
            f"insert into rollbook_drift_{stage.number} select distinct s.line from {writing.drifted(stage)}"
        )
        which = f"s.line in (select d.line from rollbook_drift_{stage.number} d)"
        await self.refuse(stage, which, "were changed in the target since this package was deployed there")

    async def check_references(self) -> None:
        """Before the first write."""
        if self.order.options.continue_on_error:
            await self.leave_out_missing()
        else:
            await checking.refuse_missing(self.session, self.stages, self.catalog, self.order.options)

    async def leave_out_missing(self) -> None:
        """Leaves out what depends on rows that are not there."""
        await checking.leave_out_missing(self.session, self.stages, self.catalog, self.order.options)

    async def write(self, report: Report) -> None:
        """Everything new, then everything changed: changes may refer to what is new."""
        is_lenient = self.order.options.continue_on_error
        unchecked = [stage for stage in self.stages if any(one.is_late and one.is_real for one in stage.references)]
        for stage in self.stages:
            await writing.insert(self.session, stage, stage not in unchecked, is_lenient)
            if is_lenient:
                await self.leave_out_missing()
        for stage in self.stages if self.order.options.update_existing else ():
            if stage.free and stage.key:
                await writing.update(self.session, stage, self.order)
        if is_lenient:
            await self.take_back_failed()
        await checking.refuse_dangling(self.session, unchecked)
        for stage in self.stages:
            await writing.keep_lineage(self.session, stage, self.order)
            await keep_fingerprint(self.session, stage, self.order.package)
            report(stage.name, stage.rows - stage.rows // 2)

    async def take_back_failed(self) -> None:
        """Rows that were written before a row failed that they refer to go again."""
        await self.leave_out_missing()
        await self.session.execute("set session foreign_key_checks = 0")
        for stage in self.stages:
            if stage.key:
                await self.session.execute(
                    f"""delete t from {stage.temporary} s straight_join {stage.real} t on {stage.same()}
                         where not s.found and s.failed is not null"""
                )
        await self.session.execute("set session foreign_key_checks = 1")

    async def rehearse(self) -> None:
        """What the target's own rules say of the rows, without touching a table of anybody's."""
        for stage in self.stages:
            await rehearse(self.session, stage, self.order.options.continue_on_error)
        if self.order.options.continue_on_error:
            await self.leave_out_missing()

    async def outcome(self, stage: Stage) -> TableOutcome:
        """What became of the rows of a table."""
        row = await self.session.one(
            f"""select coalesce(sum(not found and failed is null), 0),
                       coalesce(sum(found and changed and failed is null), 0),
                       coalesce(sum(found and not changed and failed is null), 0),
                       coalesce(sum(failed is not null), 0) from {stage.temporary}"""
        )
        new, changed, same, failed = map(int, row)
        found = await self.session.rows(
            f"""select line, {key_shown("source_key")}, failed from {stage.temporary}
                 where failed is not null order by line limit {LISTED}"""
        )
        listed = tuple({"row": line, "key": key, "reason": reason} for line, key, reason in found)
        return TableOutcome(new, changed, same, failed, listed)

    async def keys(self, stage: Stage) -> dict[str, str]:
        """Some of the mapping, for the answer; of a dry run that of rows that are there, as others have no key yet."""
        which = "found and source_key is not null" if self.is_dry else "source_key is not null"
        query = f"""select {key_shown("source_key")}, cast(k0 as char) from {stage.temporary}
                     where {which} and failed is null order by line limit {KEYS_SHOWN}"""
        return dict(await self.session.rows(query))

    async def differences(self, contents: Contents) -> Mapping[str, Difference]:
        """What a deployment would do to each table."""
        await self.prepare(contents, lambda table, rows: None)
        await self.find_changed()
        found = {stage.name: await difference(self.session, stage) for stage in self.stages}
        await self.session.execute("rollback")
        return found


def fitting(packed: Table, catalog: Mapping[str, Table], stages: Mapping[str, Stage]) -> Table:
    """The target's own table for one of the package; every name in a package may be invented."""
    if (table := catalog.get(packed.name)) is None:
        raise Invalid(f"The target has no table '{packed.name}'")
    if table.name in stages:
        raise Invalid(f"The package has the table '{packed.name}' twice")
    known = {column.name for column in table.columns if not column.is_generated}
    names = [column.name for column in packed.packed_columns]
    if lacking := [name for name in names if name not in known]:
        raise Invalid(f"The target's table '{packed.name}' has no column '{lacking[0]}'")
    if not names or len(set(names)) < len(names):
        raise Invalid(f"The package does not say once what the columns of '{packed.name}' are")
    return table
