"""What a deployment does to each document: it is new, changed, the same, or changed by others since it was left."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from adapters.databases.mongodb import marks
from adapters.databases.mongodb.batching import Packed, batches
from adapters.databases.mongodb.extended import Json, digest, key_of, shown, to_bson, to_json
from adapters.databases.mongodb.fitting import Part
from adapters.databases.mongodb.leasing import Lease
from adapters.databases.mongodb.merging import merged, part_of
from adapters.databases.mongodb.referring import Referring, Rewritten
from adapters.databases.mongodb.session import Session
from adapters.databases.mongodb.staged import MET, Staged, State
from application.ports.databases import Contents, Order

Kind = Literal["new", "changed", "same", "conflict"]


@dataclass(slots=True)
class Item:
    """One document. `document` is the package's with the target's ids, `before` the target's, `after` what it will be,
    `note` what was noted of it earlier."""

    line: int
    key: str
    source: str
    target: Any
    state: State
    kind: Kind
    document: Json
    before: Json | None = None
    after: Json | None = None
    note: Any = None
    missing: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    wanted: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_drifted(self) -> bool:
        """Whether the target's document is not as it was left."""
        if self.note is None or self.before is None:
            return False
        there = part_of(self.before, orjson.loads(self.note["shape"]))
        return digest(there) != str(self.note["digest"])


@dataclass(slots=True)
class Classifier:
    """For one deployment; `deep` compares documents that are there as well."""

    session: Session
    staged: Staged
    contents: Contents
    order: Order
    referring: Referring
    lease: Lease | None
    deep: bool

    async def batches(self, part: Part) -> AsyncIterator[list[Item]]:
        """The documents that are not left out, some at a time."""
        size = max(1, min(self.order.options.batch_size, 1000))
        async for batch in batches(self.contents, part, size):
            if self.lease and self.session.within is None:
                self.lease.check()
            states = self.staged.states(part.name, [key for _, key, _ in batch])
            if some := [one for one in batch if is_in(states[one[1]])]:
                yield await self.classified(part, some, states)

    async def classified(self, part: Part, batch: Sequence[Packed], states: dict[str, State]) -> list[Item]:
        """One batch."""
        rewritten = await self.referring.rewritten(part, [document for *_, document in batch])
        found = {key: states[key] for _, key, _ in batch if states[key].found}
        notes = await marks.lineage(self.session, self.order.package, part.name, list(found)) if found else {}
        wanted = [state.target for state in found.values() if self.deep or state.found == MET]
        there = {key_of(one["_id"]): one for one in await self.documents(part, wanted)}
        return [
            self.item(one, states[one[1]], found, there, notes.get(one[1]))
            for one, found in zip(batch, rewritten, strict=True)
        ]

    async def documents(self, part: Part, ids: list[Any]) -> list[Json]:
        """Documents of the target."""
        if not ids:
            return []
        return [to_json(one) async for one in self.session.find(part.name, {"_id": {"$in": to_bson(ids)}})]

    def item(self, packed: Packed, state: State, found: Rewritten, there: dict[str, Json], note: Any) -> Item:
        """One document."""
        line, key, document = packed
        source = shown(document["_id"])
        packed_part = {name: value for name, value in found.document.items() if name != "_id"}
        item = Item(line, key, source, state.target, state, "new", packed_part, note=note)
        if not state.found or self.deep:
            item.missing, item.lost, item.wanted = found.missing, found.lost, found.wanted
        if state.found:
            item.kind = "same"
            item.before = there.get(key_of(state.target))
            if self.deep and item.before is not None and not state.left_out:
                item.after = merged(item.before, packed_part)
                if item.after != item.before:
                    item.kind = "conflict" if item.is_drifted and not self.order.options.force else "changed"
        return item


def is_in(state: State) -> bool:
    """Whether a document takes part."""
    return state.failed is None and (bool(state.found) or not state.left_out)
