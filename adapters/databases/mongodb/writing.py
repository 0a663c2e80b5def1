"""Writes documents in batches: first what is needed to go back, then the documents, then where each went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import bson
import orjson
from pymongo import InsertOne, ReplaceOne
from pymongo.errors import BulkWriteError, DocumentTooLarge

from adapters.databases.mongodb import marks
from adapters.databases.mongodb.classifying import Item
from adapters.databases.mongodb.extended import Json, digest, shown, to_bson
from adapters.databases.mongodb.fitting import Part
from adapters.databases.mongodb.merging import part_of, shape_of
from adapters.databases.mongodb.session import WORDS, Session
from adapters.databases.mongodb.staged import KNOWN
from adapters.failpoints import failpoint
from application.ports.databases import Order
from domain.errors import Invalid, Unavailable

# A larger one would not fit into a command together with what it becomes.
LARGE = 4 << 20


@dataclass(slots=True)
class Writer:
    """For one deployment, in its transaction or without one."""

    session: Session
    order: Order
    changed: dict[str, int] = field(default_factory=dict)

    async def write(self, part: Part, items: Sequence[Item]) -> dict[str, str]:
        """One batch; answers why some were not written, which only happens where errors are gone on from."""
        touched = [item for item in items if self.touches(item)]
        ready, failed = self.readied(part, touched)
        if not ready:
            return failed
        records = [record for _, record, _ in ready]
        await self.session.collection(marks.UNDO).insert_many(records, session=self.session.within)
        failpoint("after_undo_notes")
        operations = [one for _, _, one in ready if one is not None]
        owners = [item for item, _, one in ready if one is not None]
        refused = await self.apply(part, operations, owners)
        failpoint("after_documents")
        lasting = [item for item, _, _ in ready if item.key not in refused]
        await self.note(part, lasting)
        changed = sum(item.kind in ("changed", "conflict") for item in lasting)
        self.changed[part.name] = self.changed.get(part.name, 0) + changed
        return failed | refused

    def touches(self, item: Item) -> bool:
        """Whether anything is to be written or noted."""
        updating = self.order.options.update_existing
        if item.kind == "new" or (updating and item.kind != "same"):
            return True
        return item.before is not None and (updating or item.state.found != KNOWN) and self.is_news(item)

    def is_news(self, item: Item) -> bool:
        """Whether a document that was met is noted otherwise, or not at all."""
        if item.note is None or item.note["target"] != to_bson(item.target):
            return True
        return self.order.options.update_existing and item.note["digest"] != self.left(item)

    def readied(self, part: Part, items: Sequence[Item]) -> tuple[list[tuple[Item, Json, Any]], dict[str, str]]:
        """What is needed to go back, and what is to be done, for each document that can be written at all."""
        ready, failed = [], dict[str, str]()
        for item in items:
            try:
                ready.append((item, self.record(part, item), self.operation(item)))
            except Invalid as problem:
                if not self.order.options.continue_on_error:
                    raise
                failed[item.key] = problem.message
        return ready, failed

    def operation(self, item: Item) -> Any:
        """What is to be done to the document; nothing when it is only noted."""
        if item.kind == "new":
            return InsertOne({"_id": to_bson(item.target), **to_bson(item.document)})
        if not self.order.options.update_existing or item.kind == "same":
            return None
        return ReplaceOne(unchanged(item.before), to_bson(item.after))

    def record(self, part: Part, item: Item) -> Json:
        """What is needed to go back."""
        shape = shape_of(item.document)
        is_changed = item.kind != "new" and self.order.options.update_existing and item.kind != "same"
        before = bson.encode(to_bson(part_of(item.before or {}, shape))) if is_changed else None
        note = {name: value for name, value in (item.note or {}).items() if name != "_id"} or None
        return {
            "deployment": self.order.deployment_id,
            "collection": part.name,
            "source": item.key,
            "target": to_bson(item.target),
            "inserted": item.kind == "new",
            "shape": orjson.dumps(shape).decode(),
            "after": self.left(item),
            "before": before,
            "note": note,
        }

    def left(self, item: Item) -> str:
        """What the packed fields of a document are once it is written, in short."""
        updates = item.kind == "new" or self.order.options.update_existing
        return digest(item.document if updates else part_of(item.before or {}, shape_of(item.document)))

    async def apply(self, part: Part, operations: list[Any], owners: list[Item]) -> dict[str, str]:
        """Writes documents; what the server refuses is forgotten again, for it may be somebody else's."""
        if not operations:
            return {}
        try:
            result = await self.session.collection(part.name).bulk_write(
                operations, ordered=False, session=self.session.within
            )
            told: Mapping[str, Any] = result.bulk_api_result
        except (BulkWriteError, DocumentTooLarge) as problem:
            if not isinstance(problem, BulkWriteError) or problem.details.get("writeConcernErrors"):
                raise
            refused = {owners[one["index"]].key: reason(one) for one in problem.details["writeErrors"]}
            if self.session.within is None:
                await self.forget(part, list(refused))
            if not self.order.options.continue_on_error:
                raise
            told = problem.details
            owners = [item for item in owners if item.key not in refused]
            self.refuse_races(part, owners, told)
            return refused
        self.refuse_races(part, owners, told)
        return {}

    def refuse_races(self, part: Part, owners: Sequence[Item], told: Mapping[str, Any]) -> None:
        """Unavailable when documents are no longer what they were when they were looked at."""
        if told["nMatched"] != sum(item.kind != "new" for item in owners):
            raise Unavailable(f"Documents of {part.name} were changed by others while they were deployed")

    async def forget(self, part: Part, keys: list[str]) -> None:
        """Nothing was done to these."""
        condition = {"deployment": self.order.deployment_id, "collection": part.name, "source": {"$in": keys}}
        await self.session.collection(marks.UNDO).delete_many(condition, session=self.session.within)

    async def note(self, part: Part, items: Sequence[Item]) -> None:
        """Notes where documents went, and what they were left as."""
        operations = [
            ReplaceOne(place(self.order.package, part, item.key), self.noted(part, item), True) for item in items
        ]
        if operations:
            await self.session.collection(marks.LINEAGE).bulk_write(
                operations, ordered=False, session=self.session.within
            )

    def noted(self, part: Part, item: Item) -> Json:
        """The note of one document."""
        return {
            **place(self.order.package, part, item.key),
            "shown": item.source,
            "target": to_bson(item.target),
            "went": shown(item.target),
            "shape": orjson.dumps(shape_of(item.document)).decode(),
            "digest": self.left(item),
            "left": self.order.deployment_id,
        }


def place(package: str, part: Part, key: str) -> Json:
    """What a note is found by."""
    return {"package": package, "collection": part.name, "source": key}


def unchanged(document: Any) -> Json:
    """The document, as long as it is exactly this."""
    found = to_bson(document)
    if len(bson.encode(found)) > LARGE:
        return {"_id": found["_id"]}
    return {"_id": found["_id"], "$expr": {"$eq": ["$$ROOT", {"$literal": found}]}}


def reason(error: Mapping[str, Any]) -> str:
    """Why the server refused a document; its own words may hold values."""
    said = WORDS.get(int(error.get("code") or 0), f"the server refused it (error {error.get('code')})")
    fields = ", ".join(map(str, error.get("keyPattern") or ()))
    return f"{said} ({fields})" if fields else said
