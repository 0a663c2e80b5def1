"""Which documents of a package are in the target already, and under which id each is or will be there.

Never by equality of an id that is made anew: by lineage, by a match key or a unique index, by an id that is preserved.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from bson import ObjectId

from adapters.databases.mongodb import marks
from adapters.databases.mongodb.batching import Packed, batches
from adapters.databases.mongodb.extended import NUMBERS, Json, key_of, to_bson, to_json, type_of, value_at
from adapters.databases.mongodb.fitting import Part, Path
from adapters.databases.mongodb.leasing import Lease
from adapters.databases.mongodb.referring import Referring
from adapters.databases.mongodb.session import Session
from adapters.databases.mongodb.staged import KNOWN, MET, Staged
from application.ports.databases import Contents
from domain.errors import Clash, Invalid

PAGE = 1000
AT_ONCE = 100
MOST_ROUNDS = 100


@dataclass(slots=True)
class Resolving:
    """For one deployment, before it writes anything."""

    session: Session
    staged: Staged
    parts: dict[str, Part]
    contents: Contents
    package: str
    referring: Referring
    lease: Lease | None

    async def run(self) -> None:
        """Finds the documents that are there, and gives ids to all."""
        for part in self.parts.values():
            await self.by_lineage(part)
        for _ in range(MOST_ROUNDS):
            met = sum([await self.by_match(part) for part in self.parts.values() if part.telling])
            if not met or not any(part.is_told_by_references for part in self.parts.values()):
                break
        for part in self.parts.values():
            await self.by_id(part)
            if one := self.staged.shared(part.name):
                raise Clash(f"Several documents of {part.name} are one in the target ({one})")
            await self.give(part)

    async def by_lineage(self, part: Part) -> None:
        """Documents that this package, in whatever version, deployed here before, and that are still there."""
        async for page in self.pages(part):
            known = await marks.lineage(self.session, self.package, part.name, [key for _, key, *_ in page])
            there = await self.referring.there(part.name, [one["target"] for one in known.values()])
            targets = {key: key_of(to_json({"_id": one["target"]})["_id"]) for key, one in known.items()}
            found = {key: there[target] for key, target in targets.items() if target in there}
            self.staged.find(part.name, found, KNOWN)

    async def pages(self, part: Part) -> Any:
        """The staged ids of a collection."""
        line = 0
        while page := self.staged.sources(part.name, line, PAGE):
            if self.lease:
                self.lease.check()
            yield page
            line = page[-1][0]

    async def by_id(self, part: Part) -> None:
        """Documents whose ids stay as they are."""
        if part.generates:
            return
        async for page in self.pages(part):
            sources = {key: source for _, key, source, found in page if not found}
            there = await self.referring.there(part.name, to_bson(list(sources.values())))
            self.staged.find(part.name, {key: there[key] for key in sources if key in there}, MET)

    async def by_match(self, part: Part) -> int:
        """Documents with the same values in fields that tell documents apart; answers how many were met."""
        met = 0
        async for batch in batches(self.contents, part, AT_ONCE):
            if self.lease:
                self.lease.check()
            states = self.staged.states(part.name, [key for _, key, _ in batch])
            new = [one for one in batch if one[1] in states and not states[one[1]].found]
            for paths in part.telling:
                met += await self.meet(part, new, paths)
        return met

    async def meet(self, part: Part, batch: Sequence[Packed], paths: tuple[Path, ...]) -> int:
        """Those that one set of fields tells."""
        documents = await self.referring.rewritten(part, [document for *_, document in batch])
        wanted: dict[tuple[str, ...], str] = {}
        asked: list[Json] = []
        for (_, key, _), one in zip(batch, documents, strict=True):
            values = [value_at(one.document, path) for path in paths]
            if not one.waiting & set(paths) and all(value is not None for value in values):
                if wanted.setdefault(tuple(map(key_of, values)), key) != key and paths == part.match:
                    raise Clash(f"The match key of {part.name} does not tell the package's documents apart")
                asked.append(
                    {".".join(path): {"$eq": to_bson(value)} for path, value in zip(paths, values, strict=True)}
                )
        return self.staged.find(part.name, await self.matched(part, paths, asked, wanted), MET) if asked else 0

    async def matched(
        self, part: Part, paths: tuple[Path, ...], asked: list[Json], wanted: dict[tuple[str, ...], str]
    ) -> dict[str, Any]:
        """The ids in the target, by the package's keys."""
        found: dict[str, Any] = {}
        async for one in self.session.find(part.name, {"$or": asked}, "_id", *{path[0] for path in paths}):
            document = to_json(one)
            key = wanted.get(tuple(key_of(value_at(document, path)) for path in paths))
            if key is not None and found.setdefault(key, document["_id"]) is not document["_id"]:
                raise Clash(f"The match key of {part.name} does not tell the target's documents apart")
        return found

    async def give(self, part: Part) -> None:
        """Ids of new documents."""
        number = await self.last_number(part) if part.generates else 0
        async for page in self.pages(part):
            given = {}
            for _, key, source, found in page:
                if not found:
                    number += 1
                    given[key] = new_id(source, number, part.name) if part.generates else source
            self.staged.give(part.name, given)

    async def last_number(self, part: Part) -> int:
        """The largest number that is an id in the target."""
        found = self.session.find(part.name, {"_id": {"$type": "number"}}, "_id", sort=[("_id", -1)], most=1)
        numbers = [to_json(one)["_id"] async for one in found]
        return max([int(float(next(iter(one.values())))) for one in numbers], default=0)


def new_id(source: Any, number: int, collection: str) -> Any:
    """An id that nobody has, of the same type."""
    kind = type_of(source)
    if kind == "objectid":
        return {"$oid": str(ObjectId())}
    if kind == "uuid":
        return {"$binary": {"base64": b64encode(uuid4().bytes).decode(), "subType": source["$binary"]["subType"]}}
    if kind == "string":
        return str(uuid4()) if is_uuid(source) else str(ObjectId())
    if kind == "number":
        return new_number(next(name for name in NUMBERS if name in source), number)
    raise Invalid(f"Ids of {collection} are of the type {kind}, of which no new ones can be made; preserve them")


def new_number(name: str, number: int) -> Json:
    """The next number, of the same type while it fits."""
    if name == "$numberInt" and number >= 2**31:
        name = "$numberLong"
    return {name: f"{number}.0" if name == "$numberDouble" else str(number)}


def is_uuid(text: str) -> bool:
    """Whether a text is written as a UUID."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
