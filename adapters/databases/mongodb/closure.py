"""Which documents are in a package: those that were chosen, those that they need, and on request those that need them.

Which fields hold ids is declared in the request, or found out: upwards by looking up every id that a chosen document
holds, downwards by the fields that hold ids in the first documents of each collection.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import orjson

from adapters.databases.mongodb.catalog import id_types
from adapters.databases.mongodb.chosen import PAGE, Chosen
from adapters.databases.mongodb.extended import Json, key_of, leaves, to_bson, to_json, to_line, type_of, values_at
from adapters.databases.mongodb.filters import parse_filter
from adapters.databases.mongodb.session import Session
from application.ports.databases import Selection
from domain.dataset import Table
from domain.errors import Invalid
from domain.manifest import DocumentReference

SELECTED = "selected"
SAMPLE = 1000
MOST_BYTES = 4 << 20
TELLING = frozenset({"objectid", "uuid", "string"})
"""Types of ids that say something when they are met elsewhere; numbers are met everywhere."""


class Closure:
    """Fills `chosen` for one selection."""

    def __init__(self, session: Session, catalog: Mapping[str, Table], selection: Selection, chosen: Chosen) -> None:
        self.session, self.catalog, self.selection, self.chosen = session, catalog, selection, chosen
        self.references = declared(selection)
        self.check()
        self.filters = {name: parse_filter(said, name) for name, said in selection.where.items()}
        self.types: dict[str, set[str]] = {}

    def check(self) -> None:
        """Invalid names what is not there, or cannot be left out."""
        chosen, ends = self.selection, [(r.source_collection, r.target_collection) for r in self.references]
        named = [*chosen.tables, *chosen.where, *chosen.exclude, *chosen.masks, *chosen.match_keys]
        for name in [*named, *chosen.id_strategies, *(one for pair in ends for one in pair)]:
            if name not in self.catalog:
                raise Invalid(f"There is no collection '{name[:255]}'")
        for what in (chosen.exclude, chosen.masks):
            for name, fields in what.items():
                if bad := [one for one in fields if one.split(".")[0] == "_id" or not all(one.split("."))]:
                    raise Invalid(f"The field '{bad[0][:100]}' of '{name}' cannot be left out or masked")

    async def complete(self) -> None:
        """First what the user chose, then round after round what belongs to it."""
        for name in self.selection.tables:
            await self.choose(name)
        if not (self.selection.include_parent or self.selection.include_related):
            return
        if not self.references:
            await self.learn()
        number, found = 0, True
        while found:
            added = [await self.go_on(name, number) for name in self.chosen.collections()]
            found, number = any(added), number + 1

    async def choose(self, name: str) -> None:
        """What the user's filter chooses of a collection; without one, everything."""
        ids = self.session.find(name, self.filters.get(name, {}), "_id")
        async for some in together(ids):
            self.chosen.add(name, [one["_id"] for one in some], SELECTED, 0)

    async def learn(self) -> None:
        """The types of ids, and for the way down the fields that hold ids."""
        for name in self.catalog:
            self.types[name] = await id_types(self.session, name)
        if self.selection.include_related:
            for name in self.catalog:
                self.references += await self.inferred(name)

    async def inferred(self, name: str) -> tuple[DocumentReference, ...]:
        """The fields that hold ids in the first documents of a collection."""
        sample = [to_json(one) async for one in self.session.find(name, {}, most=SAMPLE)]
        by_path: dict[str, dict[str, Any]] = {}
        for path, value in (found for one in sample for found in referring(one)):
            by_path.setdefault(path, {})[key_of(value)] = value
        found = []
        for path, values in by_path.items():
            for target in self.holding(list(values.values())):
                if await self.ids(target, "_id", list(values.values())):
                    found.append(DocumentReference(name, path, target))
        return tuple(found)

    def holding(self, values: Sequence[Any]) -> list[str]:
        """The collections whose ids are of the type of one of these values."""
        types = {type_of(value) for value in values}
        return [name for name, own in self.types.items() if own & types]

    async def go_on(self, name: str, number: int) -> int:
        """One step from the documents of a collection that the last round found; answers how many it added."""
        added = 0
        for ids in list(self.chosen.round(number, name)):
            if self.selection.include_parent:
                added += await self.go_up(name, ids, number)
            if self.selection.include_related and number < self.selection.max_depth:
                added += await self.go_down(name, ids, number)
        return added

    async def go_up(self, name: str, ids: list[Any], number: int) -> int:
        """The documents that these refer to."""
        added, own = 0, [one for one in self.references if one.source_collection == name]
        find = self.session.find(name, {"_id": {"$in": to_bson(ids)}})
        async for some in together(find):
            wanted = self.wanted(some, own) if declared(self.selection) else self.probed(some)
            for (target, field), values in wanted.items():
                found = await self.ids(target, field, values)
                added += self.chosen.add(target, found, f"referred to by {name}", number + 1)
        return added

    def wanted(self, documents: Sequence[Json], own: Sequence[DocumentReference]) -> dict[tuple[str, str], list[Any]]:
        """What documents refer to by their declared references."""
        found: dict[tuple[str, str], list[Any]] = {}
        for reference in own:
            path = tuple(reference.source_field.split("."))
            values = [value for one in documents for value in values_at(one, path) if value is not None]
            found.setdefault((reference.target_collection, reference.target_id_field), []).extend(values)
        return found

    def probed(self, documents: Sequence[Json]) -> dict[tuple[str, str], list[Any]]:
        """Everything in documents that may be an id of some collection."""
        values = {key_of(value): value for one in documents for _, value in referring(one)}
        return {(target, "_id"): list(values.values()) for target in self.holding(list(values.values()))}

    async def go_down(self, name: str, ids: list[Any], number: int) -> int:
        """The documents that refer to these."""
        added = 0
        for reference in self.references:
            if reference.target_collection == name:
                values = await self.values(name, reference.target_id_field, ids)
                found = await self.ids(reference.source_collection, reference.source_field, values)
                reason = f"refers to {name}"
                added += self.chosen.add(reference.source_collection, found, reason, number + 1)
        return added

    async def values(self, name: str, field: str, ids: list[Any]) -> list[Any]:
        """What documents are referred to by."""
        if field == "_id":
            return ids
        found = self.session.find(name, {"_id": {"$in": to_bson(ids)}}, field)
        path = tuple(field.split("."))
        return [value for one in [to_json(o) async for o in found] for value in values_at(one, path)]

    async def ids(self, name: str, field: str, values: Sequence[Any]) -> list[Any]:
        """The ids of documents that have one of these values in a field."""
        found, distinct = [], list({key_of(value): value for value in values}.values())
        for start in range(0, len(distinct), PAGE):
            asked = [{field: {"$eq": to_bson(value)}} for value in distinct[start : start + PAGE]]
            plain = {field: {"$in": [one[field]["$eq"] for one in asked]}}
            is_plain = all(type_of(value) != "regularExpression" for value in distinct)
            condition = plain if is_plain else {"$or": asked}
            found += [to_json(one)["_id"] async for one in self.session.find(name, condition, "_id")]
        return found


def declared(selection: Selection) -> tuple[DocumentReference, ...]:
    """The references of the request, whichever way it told them."""
    keys = [key for key in selection.virtual_foreign_keys if len(key.columns) == 1]
    if len(keys) < len(selection.virtual_foreign_keys):
        raise Invalid("A reference between documents is one field to one field")
    ends = [DocumentReference(k.table, k.columns[0], k.referenced_table, k.referenced_columns[0]) for k in keys]
    return (*selection.references, *ends)


def referring(document: Json) -> list[tuple[str, Any]]:
    """The values in a document that may be ids of others."""
    return [(path, value) for path, value, _ in leaves(document) if path != "_id" and type_of(value) in TELLING]


async def together(found: AsyncIterator[Any]) -> AsyncIterator[list[Json]]:
    """Documents as JSON, some at a time."""
    held, size = list[Json](), 0
    async for one in found:
        line = to_line(one)
        held.append(orjson.loads(line))
        size += len(line)
        if len(held) == PAGE or size >= MOST_BYTES:
            yield held
            held, size = [], 0
    if held:
        yield held
