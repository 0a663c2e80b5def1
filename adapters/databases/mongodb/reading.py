"""Packing from MongoDB: one snapshot, the chosen documents and what they refer to, streamed as Extended JSON."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import orjson

from adapters.databases.measuring import measured
from adapters.databases.mongodb.catalog import read_catalog, read_indexes
from adapters.databases.mongodb.chosen import SCHEMA, Chosen, notes
from adapters.databases.mongodb.closure import TELLING, Closure, declared
from adapters.databases.mongodb.extended import (
    Json,
    changed_at,
    is_ambiguous,
    key_of,
    leaves,
    to_bson,
    to_json,
    type_of,
    without,
)
from adapters.databases.mongodb.masking import masked
from adapters.databases.mongodb.session import CONNECT_SECONDS, Session, opened
from adapters.databases.ordering import ordered
from application.ports.databases import Found, Lines, Selection
from domain.dataset import DatabaseKind, ForeignKey, Table
from domain.errors import Invalid
from domain.manifest import Collection, DocumentReference, IdStrategy

BATCH_BYTES = 1 << 20
GENERATED = "objectid"


@dataclass(frozen=True, slots=True)
class MongoSource:
    """See the port. `dsn` needs `read`. The snapshot is one only where the server has snapshots (a replica set or a
    sharded cluster); a server that stands alone is read as it is in that moment."""

    dsn: str = field(repr=False)
    timeout_seconds: int = 3600
    connect_seconds: int = CONNECT_SECONDS
    kind: DatabaseKind = DatabaseKind.MONGODB

    async def catalog(self) -> Mapping[str, Table]:
        """Every collection that may be packed."""
        async with opened(self.dsn, "source", self.timeout_seconds, self.connect_seconds) as session:
            return await read_catalog(session)

    @asynccontextmanager
    async def read(self, selection: Selection) -> AsyncIterator["MongoReading"]:
        """Opens the snapshot."""
        async with opened(self.dsn, "source", self.timeout_seconds, self.connect_seconds) as session:
            catalog = await read_catalog(session)
            with notes(SCHEMA) as connection:
                chosen = Chosen(connection)
                async with session.snapshot() as moment:
                    closure = Closure(moment, catalog, selection, chosen)
                    await closure.complete()
                    reading = MongoReading(moment, closure)
                    await reading.describe(session)
                    yield reading


class MongoReading:
    """See the port. References that nobody declared are found while the documents go by."""

    def __init__(self, session: Session, closure: Closure) -> None:
        self.session, self.closure = session, closure
        self.chosen, self.selection = closure.chosen, closure.selection
        self.found: dict[tuple[str, str, str], DocumentReference] = {}
        self.collections: dict[str, Collection] = {}

    async def describe(self, session: Session) -> None:
        """What is only true of collections; indexes have no snapshot."""
        for name in self.names:
            types = {type_of(one) for page in self.chosen.pages(name) for one in page}
            id_type = types.pop() if len(types) == 1 else "mixed" if types else GENERATED
            usual = IdStrategy.REGENERATE if id_type == GENERATED else IdStrategy.PRESERVE
            strategy = self.selection.id_strategies.get(name, usual)
            self.collections[name] = Collection("_id", id_type, strategy, await read_indexes(session, name))

    @property
    def names(self) -> list[str]:
        """The collections that were asked for, and those that have documents here."""
        found = list(dict.fromkeys([*self.selection.tables, *self.chosen.collections()]))
        keys = [ForeignKey("", one.source_collection, (), one.target_collection, ()) for one in self.references]
        return ordered(found, keys)

    @property
    def tables(self) -> Sequence[Table]:
        """The collections, those that others refer to first, as far as there are no circles."""
        return [self.closure.catalog[name] for name in self.names]

    @property
    def references(self) -> Sequence[DocumentReference]:
        """Those of the request, else those that were met."""
        if told := declared(self.selection):
            held = self.collections.keys()
            return [one for one in told if {one.source_collection, one.target_collection} <= held]
        return list(self.found.values())

    async def count(self, table: str) -> Found:
        """What the selection holds of a collection."""
        return await measured(self.rows(table), self.chosen.reasons(table))

    async def expected(self, table: str) -> int:
        """All ids are noted down."""
        return sum(self.chosen.reasons(table).values())

    async def rows(self, table: str) -> AsyncIterator[Lines]:
        """The documents of a collection in the order of their ids, about a megabyte at a time."""
        held, size = list[bytes](), 0
        async for document in self.documents(table):
            held.append(orjson.dumps(document))
            size += len(held[-1])
            if size >= BATCH_BYTES:
                yield held
                held, size = [], 0
        if held:
            yield held

    async def documents(self, table: str) -> AsyncIterator[Json]:
        """The documents as they are packed."""
        for ids in self.chosen.pages(table):
            found = self.session.find(table, {"_id": {"$in": to_bson(ids)}}, sort=[("_id", 1)])
            async for one in found:
                if is_ambiguous(one):
                    raise Invalid(f"A document of '{table}' has a field that is named as Extended JSON names types")
                yield self.packed(table, to_json(one))

    def packed(self, table: str, document: Json) -> Json:
        """A document without what is left out, and with masks."""
        for path in self.selection.exclude.get(table, ()):
            document = without(document, tuple(path.split(".")))
        if not declared(self.selection):
            self.meet(table, document)
        for path, mask in self.selection.masks.get(table, {}).items():
            document = changed_at(document, tuple(path.split(".")), lambda value, mask=mask: masked(value, mask))
        return document

    def meet(self, table: str, document: Json) -> None:
        """Notes the fields of a document that hold ids of packaged ones."""
        masks = self.selection.masks.get(table, {})
        values = [(p, key_of(v), many) for p, v, many in leaves(document) if p != "_id" and type_of(v) in TELLING]
        holders = self.chosen.holders([key for _, key, _ in values]) if values else {}
        for path, key, many in values:
            for target in holders.get(key, ()) if path not in masks else ():
                known = self.found.get((table, path, target))
                if known is None or (many and known.reference_type == "single"):
                    kind: Literal["single", "array"] = "array" if many else "single"
                    self.found[table, path, target] = DocumentReference(
                        table, path, target, reference_type=kind, is_declared=False
                    )
