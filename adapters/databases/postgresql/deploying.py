"""One deployment into PostgreSQL: rows beside the tables, keys, checks, and only then the tables, set by set.

Everything is one transaction, so that `transaction_size` and `batch_size` have nothing to divide: rows come in batches
as they are read, and are written by statements that each concern a whole table.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg import AsyncConnection, sql

from adapters.databases.postgresql import marks
from adapters.databases.postgresql.catalog import read_catalog, written
from adapters.databases.postgresql.checking import (
    check_references,
    refuse_drift,
    refuse_existing,
    refuse_incomplete,
)
from adapters.databases.postgresql.cycles import edges, postponed
from adapters.databases.postgresql.drifting import drifted
from adapters.databases.postgresql.earlier import look_up
from adapters.databases.postgresql.facts import Facts, read_facts
from adapters.databases.postgresql.failing import cast, drop_dependants, failures, halved, mark, remove_dropped
from adapters.databases.postgresql.fitting import fitted
from adapters.databases.postgresql.keys import resolve, unique_keys
from adapters.databases.postgresql.loading import fill
from adapters.databases.postgresql.noting import keep_images, keep_lineage
from adapters.databases.postgresql.others import refuse_others
from adapters.databases.postgresql.progress import Telling
from adapters.databases.postgresql.redeploying import is_unchanged, keep_fingerprint, known_keys, without_gaps
from adapters.databases.postgresql.rehearsing import rehearsed
from adapters.databases.postgresql.staging import Stage
from adapters.databases.postgresql.together import checked_together
from adapters.databases.postgresql.writing import complete, count, insert, move_sequences, update
from application.ports.databases import Contents, Digested, Order, Outcome, Report, TableOutcome

KEYS_SHOWN = 1000
ROWS_AT_ONCE = 250_000
BLOCKS = sql.SQL("select pg_relation_size({}::regclass) / current_setting('block_size')::int")
COUNTS = sql.SQL(
    """select count(*) filter (where found = 0 and failed is null),
              count(*) filter (where found > 0 and failed is null),
              count(*) filter (where failed is not null)
         from {}"""
)


@dataclass(slots=True)
class Deployment:
    """What happens in the transaction that is open on `connection`."""

    connection: AsyncConnection[Any]
    contents: Contents
    order: Order
    report: Report
    stages: dict[str, Stage] = field(default_factory=dict)
    facts: Mapping[str, Facts] = field(default_factory=dict)
    tellings: dict[str, Telling] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    number: int = 0

    async def run(self) -> Outcome:
        """Everything, unless it was done before."""
        await marks.take_over(self.connection, self.order.deployment_id)
        await marks.prepare(self.connection, self.order.package)
        if before := await marks.made_before(self.connection, self.order.deployment_id):
            return before
        await self.prepare()
        if outcome := await self.repeat():
            return outcome
        await self.stage()
        await self.check()
        closing = edges({n: s.table for n, s in self.stages.items()}, self.facts, self.order.options.continue_on_error)
        together = [] if closing or self.order.options.continue_on_error else list(self.stages.values())
        async with checked_together(self.connection, together), postponed(self.connection, closing, self.stages):
            for stage in self.stages.values():
                await self.write(stage)
            for stage in self.stages.values():
                if stage.late:
                    await complete(self.connection, stage)
            if self.order.options.continue_on_error:
                await drop_dependants(self.connection, list(self.stages.values()), self.order.options)
                await remove_dropped(self.connection, list(self.stages.values()))
        return await self.finish()

    async def repeat(self) -> Outcome | None:
        """When everything is there as it is in the package, that is all; told only where rows are not to be changed."""
        options, stages = self.order.options, list(self.stages.values())
        if not options.skip_existing or options.update_existing:
            return None
        if not await is_unchanged(self.connection, stages, self.contents):
            return None
        tables = {}
        for stage in stages:
            Telling(self.report, stage.name, stage.rows).wrote(1)
            tables[stage.name] = TableOutcome(same=stage.rows)
        keys = {s.name: await known_keys(self.connection, s, KEYS_SHOWN) for s in stages if s.generates}
        outcome = Outcome(tables, keys)
        await marks.end(self.connection, self.order, outcome)
        return outcome

    async def prepare(self) -> None:
        """Looks at the target."""
        catalog = await read_catalog(self.connection)
        names_of_package = [written(table.schema, table.name) for table in self.contents.tables]
        await refuse_others(self.connection, catalog, names_of_package, "deployed to")
        self.facts = await read_facts(self.connection, set(catalog))
        self.stages = fitted(self.contents, catalog, self.facts)
        names = {name: stage.names for name, stage in self.stages.items()}
        self.number = await marks.begin(self.connection, self.order, names)
        for stage in self.stages.values():
            stage.part, stage.is_first = await marks.part(self.connection, self.order.package, stage.name)
            stage.sequences = dict(stage.facts.sequences)

    async def stage(self) -> None:
        """Brings all rows beside the tables, and finds out which of them are there."""
        for stage in self.stages.values():
            if self.order.options.dry_run:
                stage.sequences = await rehearsed(self.connection, stage)
            await self.load(stage)
        await look_up(self.connection, list(self.stages.values()), self.facts)
        await resolve(self.connection, list(self.stages.values()))

    async def load(self, stage: Stage) -> None:
        """Brings the rows of one table. When none of them can be known, each takes its new key as it comes."""
        noted = self.contents.digest(stage.name)[0] if isinstance(self.contents, Digested) else None
        telling = self.tellings[stage.name] = Telling(self.report, stage.name, noted=noted)
        raw = self.order.options.continue_on_error
        await stage.make(self.connection)
        if stage.generates and stage.is_first:
            query = sql.SQL("alter table {} alter k0 set default nextval({})")
            await self.connection.execute(query.format(stage.temporary, sql.Literal(stage.sequences[stage.key[0]])))
        if raw:
            await stage.make(self.connection, raw=True)
        await fill(self.connection, stage, self.contents, telling, raw)
        if raw:
            await cast(self.connection, stage)

    async def check(self) -> None:
        """What must hold before the first row is written."""
        stages, options = list(self.stages.values()), self.order.options
        await refuse_existing(self.connection, stages, options)
        if options.continue_on_error:
            await drop_dependants(self.connection, stages, options)
        else:
            for stage in stages:
                await refuse_incomplete(self.connection, stage)
            await check_references(self.connection, stages, options)
        if options.update_existing and not options.force:
            for stage in stages:
                if condition := await drifted(self.connection, stage):
                    await refuse_drift(self.connection, stage, condition)

    async def write(self, stage: Stage) -> None:
        """Writes one table."""
        options = self.order.options
        if options.continue_on_error:
            await drop_dependants(self.connection, [stage], options)
        await self.each(stage, self.insert_some)
        if options.update_existing and stage.key:
            if not options.dry_run:
                await keep_images(self.connection, stage, self.number)
            self.changed[stage.name] = await self.each(stage, self.update_some)
        self.tellings[stage.name].wrote(1)

    async def each(self, stage: Stage, write: Any) -> int:
        """Writes at once, or without the rows that it fails for."""

        async def run(among: sql.Composable) -> int:
            return int(await write(stage, among))

        if not self.order.options.continue_on_error:
            return await run(sql.SQL("true"))
        done, failed = await halved(self.connection, stage, run, stage.rows)
        await mark(self.connection, stage, failed)
        return done

    async def insert_some(self, stage: Stage, among: sql.Composable) -> int:
        """Adds new rows, many at once; one that refers to others of its table comes with all of them."""
        dry = self.order.options.dry_run
        own = any(key.referenced_table == stage.name for key in stage.table.foreign_keys)
        if own or self.order.options.continue_on_error or stage.rows <= ROWS_AT_ONCE:
            return await insert(self.connection, stage, among, dry)
        done = 0
        blocks = await count(self.connection, BLOCKS.format(sql.Literal(f"rollbook_stage_{stage.number}")))
        step = max(1, blocks * ROWS_AT_ONCE // stage.rows)
        for low in range(0, blocks, step):
            places = (sql.Literal(f"({block},0)") for block in (low, low + step))
            some = sql.SQL("s.ctid >= {}::tid and s.ctid < {}::tid").format(*places)
            done += await insert(self.connection, stage, some, dry)
            self.tellings[stage.name].wrote(min(1, (low + step) / blocks))
        return done

    async def update_some(self, stage: Stage, among: sql.Composable) -> int:
        """Changes rows."""
        return await update(self.connection, stage, among)

    async def finish(self) -> Outcome:
        """Notes what was done, and tells it."""
        counted = {s.name: await self.outcome(s) for s in self.stages.values()}
        if not self.order.options.dry_run:
            for stage in self.stages.values():
                updating, done = self.order.options.update_existing, counted[stage.name]
                found = done.changed + done.same > 0
                await keep_lineage(self.connection, stage, self.number, updating, found)
                await move_sequences(self.connection, stage)
                span = await without_gaps(self.connection, stage, done.new)
                await keep_fingerprint(self.connection, stage, self.tellings[stage.name], done.failed, span)
        dry, generating = self.order.options.dry_run, [s for s in self.stages.values() if s.generates]
        keys = {s.name: await keys_of(self.connection, s, dry) for s in generating}
        outcome = Outcome(counted, keys)
        await marks.end(self.connection, self.order, outcome)
        self.report(next(iter(counted), ""), 0)
        await asyncio.sleep(0)  # Where whoever has no right any more to commit this is stopped.
        return outcome

    async def outcome(self, stage: Stage) -> TableOutcome:
        """What happened to the rows of one table."""
        if stage.is_first and not self.order.options.continue_on_error and not unique_keys(stage):
            return TableOutcome(stage.rows)
        row = await (await self.connection.execute(COUNTS.format(stage.temporary))).fetchone()
        new, found, failed = row or (0, 0, 0)
        changed = self.changed.get(stage.name, 0)
        left_out = await failures(self.connection, stage) if failed else ()
        return TableOutcome(new, changed, found - changed, failed, left_out)


async def keys_of(connection: AsyncConnection[Any], stage: Stage, dry: bool) -> dict[str, str]:
    """Some of the mapping, for the answer; of a dry run that of rows that are there, as others have no key yet."""
    if not stage.source_key:
        return {}
    which = sql.SQL("s.found > 0 and " if dry else "")
    # Rows lie in the order of their lines, so that the first of them are found without a look at the others.
    query = sql.SQL(
        """select {}, {} from (select * from {} s where {} s.failed is null and s.line <= {most} limit {most}) s
            order by s.line"""
    )
    parts = (stage.source_key_text(), stage.target_key_text(), stage.temporary, which)
    return dict(await (await connection.execute(query.format(*parts, most=KEYS_SHOWN))).fetchall())
