"""One deployment into MongoDB: ids, references and checks first, and only then the documents, batch by batch.

What is small enough is one transaction where the server has them. All else is written under a marker that says so, with
what is needed to go back noted before each batch: an error undoes it, and after a crash whoever comes next does.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

from adapters.databases.mongodb import marks
from adapters.databases.mongodb.checking import Checked, check
from adapters.databases.mongodb.classifying import Classifier
from adapters.databases.mongodb.extended import read_line
from adapters.databases.mongodb.fitting import Part, fitted
from adapters.databases.mongodb.indexing import drop_indexes, missing_indexes
from adapters.databases.mongodb.leasing import Lease
from adapters.databases.mongodb.progress import Telling
from adapters.databases.mongodb.recovering import recover
from adapters.databases.mongodb.referring import Referring
from adapters.databases.mongodb.resolving import Resolving
from adapters.databases.mongodb.session import Session
from adapters.databases.mongodb.staged import Staged
from adapters.databases.mongodb.undoing import Undoing
from adapters.databases.mongodb.writing import Writer
from adapters.databases.outcomes import told
from application.ports.databases import Contents, Documents, Order, Outcome, Report, TableOutcome
from domain.errors import Invalid, RollbookError

KEYS_SHOWN = 1000
LISTED = 1000
MOST_BYTES = 8 << 20


class Rehearsed(Exception):
    """Everything was done; nothing of it is to stay."""


@dataclass(slots=True)
class Deployment:
    """`most` is how many documents may be in one transaction; its server gives it a minute."""

    session: Session
    contents: Contents
    order: Order
    report: Report
    staged: Staged
    most: int
    lease: Lease | None = None
    parts: dict[str, Part] = field(default_factory=dict)
    tellings: dict[str, Telling] = field(default_factory=dict)
    made: list[list[str]] = field(default_factory=list)
    deep: bool = False

    async def prepare(self) -> None:
        """Brings all ids beside the target, and finds out which documents are there."""
        self.parts = await fitted(self.session, self.contents)
        for part in self.parts.values():
            await self.stage(part)
        referring = Referring(self.session, self.staged, self.parts, self.order.package)
        facts = (self.contents, self.order.package, referring, self.lease)
        await Resolving(self.session, self.staged, self.parts, *facts).run()

    async def stage(self, part: Part) -> None:
        """The ids of one collection."""
        telling = self.tellings[part.name] = Telling(self.report, part.name)
        async for lines in self.contents.rows(part.name):
            ids = [(n, read_line(line, part.name)["_id"]) for n, line in enumerate(lines, part.lines + 1)]
            if twice := self.staged.add(part.name, ids, part.is_left_out):
                raise Invalid(f"The package holds the document {twice[:100]} of {part.name} twice")
            part.lines += len(lines)
            part.bytes += sum(map(len, lines))
            telling.read(len(lines))

    def classifier(self, session: Session) -> Classifier:
        """Looks at documents."""
        referring = Referring(session, self.staged, self.parts, self.order.package)
        deep = self.deep or self.order.options.update_existing
        return Classifier(session, self.staged, self.contents, self.order, referring, self.lease, deep)

    async def check(self) -> Checked:
        """What must hold before the first document is written."""
        return await check(self.classifier(self.session), self.parts, self.order.options)

    @property
    def is_one_transaction(self) -> bool:
        """Whether everything can be done in one; a refused document would end it."""
        small = sum(part.lines for part in self.parts.values()) <= self.most
        small &= sum(part.bytes for part in self.parts.values()) <= MOST_BYTES
        return self.session.has_snapshots and small and not self.order.options.continue_on_error

    async def make(self) -> Outcome:
        """Everything, for good."""
        await self.prepare()
        await self.check()
        planned = await self.planned_indexes()
        if not self.is_one_transaction:
            return await self.write_under_marker(planned)
        try:
            await self.make_indexes(planned)
            async with self.session.transaction() as within:
                assert self.lease is not None
                await self.lease.keep(within)
                return await self.write(within)
        except BaseException:  # Whoever is cancelled leaves no index behind either.
            await asyncio.shield(drop_indexes(self.session, self.made))
            raise

    async def rehearse(self) -> Outcome:
        """Everything, as far as it can be taken back; else only what can be told before."""
        await self.prepare()
        checked = await self.check()
        if not self.is_one_transaction:
            return self.foretold(checked)
        found: list[Outcome] = []
        with suppress(Rehearsed):
            async with self.session.transaction() as within:
                found.append(await self.write(within))
                raise Rehearsed
        return found[0]

    def foretold(self, checked: Checked) -> Outcome:
        """What writing would do; what the server would refuse is not in it."""
        changed = {
            name: one["changed"] if self.order.options.update_existing else 0 for name, one in checked.counts.items()
        }
        return self.outcome(changed)

    async def write(self, session: Session) -> Outcome:
        """Writes the documents and the marker."""
        await marks.begin(session, self.order, self.facts(self.made))
        writer = Writer(session, self.order)
        await self.write_all(session, writer)
        outcome = self.outcome(writer.changed)
        await marks.turn(session, self.order.deployment_id, marks.DONE, outcome=told(outcome))
        return outcome

    async def write_under_marker(self, planned: Mapping[str, Any]) -> Outcome:
        """Writes the documents without a transaction; an error or a cancellation undoes what was written."""
        names = [[name, one.document["name"]] for name, models in planned.items() for one in models]
        await marks.begin(self.session, self.order, self.facts(names))
        try:
            await self.make_indexes(planned)
            writer = Writer(self.session, self.order)
            await self.write_all(self.session, writer)
            if self.order.options.continue_on_error:
                await self.drop_dependants(writer)
            outcome = self.outcome(writer.changed)
            if self.lease:
                await self.lease.keep(self.session)
            await marks.turn(self.session, self.order.deployment_id, marks.DONE, outcome=told(outcome))
            return outcome
        except BaseException:
            with suppress(PyMongoError, RollbookError):
                assert self.lease is not None
                await asyncio.shield(recover(self.session, self.order.package, self.lease))
            raise

    def facts(self, indexes: list[list[str]]) -> dict[str, Any]:
        """What a marker says."""
        references = self.contents.references if isinstance(self.contents, Documents) else ()
        told = [[r.source_collection, r.source_field, r.target_collection] for r in references]
        return {"collections": list(self.parts), "references": told, "indexes": indexes}

    async def planned_indexes(self) -> dict[str, Any]:
        """The indexes that are to be made."""
        if not self.order.options.rebuild_indexes:
            return {}
        return {name: await missing_indexes(self.session, part) for name, part in self.parts.items()}

    async def make_indexes(self, planned: Mapping[str, Any]) -> None:
        """Makes them, before there is anything to index."""
        for name, models in planned.items():
            for model in models:
                self.made.append([name, model.document["name"]])
                with pymongo.timeout(self.session.timeout_seconds):
                    await self.session.collection(name).create_indexes([model])

    async def write_all(self, session: Session, writer: Writer) -> None:
        """Every collection."""
        for part in self.parts.values():
            async for items in self.classifier(session).batches(part):
                self.staged.fail(part.name, await writer.write(part, items))
                self.tellings[part.name].wrote(items[-1].line / max(1, part.lines))
            self.tellings[part.name].wrote(1)

    async def drop_dependants(self, writer: Writer) -> None:
        """Takes out again what refers to documents that turned out to be left out, until there is no more of it."""
        classifier, again = replace(self.classifier(self.session), deep=True), True
        while again:
            again = False
            for part in self.parts.values() if any(self.staged.failures(name, 1)[0] for name in self.parts) else ():
                async for items in classifier.batches(part):
                    lost = {
                        item.key: f"refers to a document that is left out: {item.lost[0]}"
                        for item in items
                        if item.lost
                    }
                    if lost:
                        again |= await self.take_out(part, lost, writer)

    async def take_out(self, part: Part, lost: Mapping[str, str], writer: Writer) -> bool:
        """Takes out some documents of one collection."""
        marker = await marks.deployment(self.session, self.order.deployment_id)
        condition = {"deployment": self.order.deployment_id, "collection": part.name, "source": {"$in": list(lost)}}
        records = [one async for one in self.session.find(marks.UNDO, condition)]
        written = {one["source"]: why for one in records if (why := lost[one["source"]]) and is_written(one)}
        if records:
            undoing = Undoing(self.session, marker, False, self.lease, lambda table, rows: None)
            await undoing.take_back(part.name, records)
            writer.changed[part.name] -= undoing.counts[part.name][1]
            await writer.forget(part, list(lost))
        return self.staged.fail(part.name, written) > 0

    def outcome(self, changed: Mapping[str, int]) -> Outcome:
        """What happened to the documents of each collection; a dry run knows no ids but of documents that are there."""
        tables = {}
        for name in self.parts:
            new, found = self.staged.counts(name)
            failed, failures = self.staged.failures(name, LISTED)
            done = changed.get(name, 0)
            tables[name] = TableOutcome(new, done, found - done, failed, failures)
        dry, generating = self.order.options.dry_run, [name for name, part in self.parts.items() if part.generates]
        keys = {name: self.staged.pairs(name, KEYS_SHOWN, dry) for name in generating}
        return Outcome(tables, keys)


def is_written(record: Any) -> bool:
    """Whether more was done to a document than noting it."""
    return bool(record["inserted"]) or record["before"] is not None
