"""Rewrites what documents refer to: each id of a packaged document becomes its id in the target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.databases.mongodb import marks
from adapters.databases.mongodb.extended import Json, changed_at, key_of, shown, to_bson, to_json, type_of, values_at
from adapters.databases.mongodb.fitting import Part, Path
from adapters.databases.mongodb.session import Session
from adapters.databases.mongodb.staged import Staged, State


@dataclass(slots=True)
class Rewritten:
    """A document with the ids of the target. `missing` are ids that lead nowhere, `lost` those that lead to what was
    left out, `wanted` keys of documents that could be made, `waiting` fields that refer to documents without an id."""

    document: Json
    missing: list[str]
    lost: list[str]
    wanted: list[tuple[str, str]]
    waiting: set[Path]


@dataclass(frozen=True, slots=True)
class Leads:
    """Where ids lead, by collection and key."""

    staged: Mapping[tuple[str, str], State]
    outside: Mapping[tuple[str, str], tuple[Any, bool]]


@dataclass(slots=True)
class Referring:
    """For one deployment."""

    session: Session
    staged: Staged
    parts: Mapping[str, Part]
    package: str

    async def rewritten(self, part: Part, documents: Sequence[Json]) -> list[Rewritten]:
        """Documents of a collection, many at once."""
        leads = await self.leads(part, documents)
        return [self.rewrite(part, one, leads) for one in documents]

    def targets(self, part: Part, path: Path, value: Any) -> list[str]:
        """The collections that a value may be an id of."""
        if value is None:
            return []
        kind = type_of(value)
        types = {name: self.parts[name].id_type if name in self.parts else None for name in part.references[path]}
        return [name for name, known in types.items() if known in (None, kind)]

    async def leads(self, part: Part, documents: Sequence[Json]) -> Leads:
        """Where all the ids in documents lead."""
        wanted: dict[str, dict[str, Any]] = {}
        for path in part.references:
            for value in (found for one in documents for found in values_at(one, path)):
                for name in self.targets(part, path, value):
                    wanted.setdefault(name, {})[key_of(value)] = value
        staged, outside = dict[tuple[str, str], State](), dict[tuple[str, str], tuple[Any, bool]]()
        for name, values in wanted.items():
            states = self.staged.states(name, values) if name in self.parts else {}
            staged |= {(name, key): state for key, state in states.items()}
            rest = {key: value for key, value in values.items() if key not in states}
            outside |= {(name, key): lead for key, lead in (await self.look_up(name, rest)).items()}
        return Leads(staged, outside)

    async def look_up(self, name: str, values: Mapping[str, Any]) -> dict[str, tuple[Any, bool]]:
        """Where documents are that the package does not hold."""
        found = self.staged.outside(name, values)
        unknown = {key: value for key, value in values.items() if key not in found}
        if unknown:
            known = await marks.brought(self.session, self.package, name, list(unknown))
            asked = {key: known.get(key, to_bson(value)) for key, value in unknown.items()}
            there = await self.there(name, list(asked.values()))
            places = {key: key_of(to_json({"_id": one})["_id"]) for key, one in asked.items()}
            new = {key: (there.get(place), place in there) for key, place in places.items()}
            self.staged.note_outside(name, new)
            found |= new
        return found

    async def there(self, name: str, ids: Sequence[Any]) -> dict[str, Any]:
        """Which of these ids the target has, by their keys."""
        found = self.session.find(name, {"_id": {"$in": list(ids)}}, "_id")
        told = [to_json(one)["_id"] async for one in found]
        return {key_of(one): one for one in told}

    def rewrite(self, part: Part, document: Json, leads: Leads) -> Rewritten:
        """One document."""
        found = Rewritten(document, [], [], [], set())
        for path in part.references:
            found.document = changed_at(
                found.document, path, lambda value, p=path: self.lead(part, p, value, leads, found)
            )
        return found

    def lead(self, part: Part, path: Path, value: Any, leads: Leads, found: Rewritten) -> Any:
        """What stands in the place of one value."""
        key, lost, wanted = key_of(value), False, None
        names = self.targets(part, path, value)
        for name in names:
            state, outside = leads.staged.get((name, key)), leads.outside.get((name, key))
            if state and (state.found or not (state.left_out or state.failed)):
                if state.target is None:
                    found.waiting.add(path)
                    return value
                return value if key_of(state.target) == key else state.target
            if outside and outside[1]:
                return value if key_of(outside[0]) == key else outside[0]
            lost |= bool(state and state.failed)
            wanted = (name, key) if state and state.left_out else wanted
        if lost or wanted or any((path, name) in part.strict for name in names):
            (found.lost if lost else found.missing).append(f"{'.'.join(path)} {shown(value)} of {' or '.join(names)}")
            found.wanted += [wanted] if wanted else []
        return value
