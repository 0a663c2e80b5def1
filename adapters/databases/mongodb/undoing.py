"""Takes a deployment back: its documents go, what it changed is as it was; later writes are lost only when forced.

The same undoes what was interrupted. Each step may be done again, so that this too may be interrupted.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import bson
import orjson
from pymongo import DeleteOne, ReplaceOne

from adapters.databases.mongodb import marks
from adapters.databases.mongodb.extended import CODEC, Json, digest, key_of, to_bson, to_json
from adapters.databases.mongodb.leasing import Lease
from adapters.databases.mongodb.merging import part_of, restored
from adapters.databases.mongodb.session import Session
from adapters.databases.mongodb.writing import unchanged
from adapters.failpoints import failpoint
from application.ports.databases import Outcome, Report, TableOutcome
from domain.errors import Clash, Unavailable

AT_ONCE = 500


class Undoing:
    """Of one deployment, whose marker is given. `force` loses later writes; else documents with such stay."""

    def __init__(self, session: Session, marker: Any, force: bool, lease: Lease | None, report: Report) -> None:
        self.session, self.marker, self.force, self.lease, self.report = session, marker, force, lease, report
        self.id: str = marker["_id"]
        self.counts: dict[str, tuple[int, int]] = {}

    async def run(self) -> Outcome:
        """Everything; answers how many documents went, and how many are as they were."""
        for name in reversed(self.marker["collections"]):
            async for records in self.records(name):
                if self.lease and self.session.within is None:
                    self.lease.check()
                await self.take_back(name, records)
        await self.session.collection(marks.UNDO).delete_many({"deployment": self.id}, session=self.session.within)
        return Outcome({name: TableOutcome(*self.counts.get(name, (0, 0))) for name in self.marker["collections"]})

    async def records(self, name: str) -> AsyncIterator[list[Any]]:
        """What was noted of the documents of a collection, some at a time."""
        last = ""
        while True:
            condition = {"deployment": self.id, "collection": name, "source": {"$gt": last}}
            found = self.session.find(marks.UNDO, condition, sort=[("source", 1)], most=AT_ONCE)
            if not (records := [one async for one in found]):
                return
            yield records
            last = records[-1]["source"]

    async def current(self, name: str, records: Sequence[Any]) -> dict[str, Json]:
        """The documents as they are now, by the keys of their ids."""
        found = self.session.find(name, {"_id": {"$in": [one["target"] for one in records]}})
        return {key_of(one["_id"]): one for one in [to_json(document) async for document in found]}

    async def take_back(self, name: str, records: Sequence[Any]) -> None:
        """One batch."""
        there = await self.current(name, records)
        operations = [one for record in records if (one := self.operation(record, there)) is not None]
        if operations:
            result = await self.session.collection(name).bulk_write(
                operations, ordered=False, session=self.session.within
            )
            if result.deleted_count + result.matched_count < len(operations):
                raise Unavailable(f"Documents of {name} were changed by others while they were taken back")
        failpoint("after_taking_back")
        notes = [noted(self.marker["package"], record) for record in records]
        await self.session.collection(marks.LINEAGE).bulk_write(notes, ordered=False, session=self.session.within)
        gone, back = self.counts.get(name, (0, 0))
        inserted = sum(record["inserted"] for record in records)
        changed = sum(record["before"] is not None for record in records)
        self.counts[name] = gone + inserted, back + changed
        self.report(name, inserted + changed)

    def operation(self, record: Any, there: dict[str, Json]) -> Any:
        """What takes one document back; nothing where nothing is to be done, or must not be."""
        now = there.get(target_key(record))
        if now is None or not (self.force or is_as_left(record, now)):
            return None
        if record["inserted"]:
            return DeleteOne(unchanged(now))
        if record["before"] is None:
            return None
        before = to_json(bson.decode(record["before"], CODEC))
        return ReplaceOne(unchanged(now), to_bson(restored(now, orjson.loads(record["shape"]), before)))


def noted(package: str, record: Any) -> Any:
    """The note of a document as it was before."""
    place = {"package": package, "collection": record["collection"], "source": record["source"]}
    return ReplaceOne(place, record["note"], True) if record["note"] else DeleteOne(place)


def target_key(record: Any) -> str:
    """The key of the document's id in the target."""
    return key_of(to_json({"_id": record["target"]})["_id"])


def is_as_left(record: Any, now: Json) -> bool:
    """Whether a document is as the deployment left it, as far as that is about packed fields."""
    return digest(part_of(now, orjson.loads(record["shape"]))) == str(record["after"])


async def refuse_losses(undoing: Undoing) -> None:
    """Clash when documents were changed since, or others refer to them now."""
    for name in undoing.marker["collections"]:
        later = 0
        async for records in undoing.records(name):
            later += await later_writes(undoing, name, records)
            going = [record["target"] for record in records if record["inserted"]]
            await refuse_attached(undoing, name, going)
        if later:
            raise Clash(f"{later} documents of {name} were changed since; force the rollback to lose those changes")


async def later_writes(undoing: Undoing, name: str, records: Sequence[Any]) -> int:
    """How many documents are not what the deployment left."""
    there = await undoing.current(name, records)
    touched = [one for one in records if one["inserted"] or one["before"] is not None]
    notes = await marks.lineage(undoing.session, undoing.marker["package"], name, [one["source"] for one in touched])
    kept = [
        one
        for one in touched
        if (now := there.get(target_key(one))) is not None
        and is_as_left(one, now)
        and notes.get(one["source"], {}).get("left") == undoing.id
    ]
    return len(touched) - len(kept)


async def refuse_attached(undoing: Undoing, name: str, going: list[Any]) -> None:
    """Clash when documents that stay refer to documents that go."""
    for source, field, target in undoing.marker["references"] if going else ():
        if target != name:
            continue
        found = undoing.session.find(source, {field: {"$in": going}}, "_id")
        attached = [one["_id"] async for one in found]
        condition = {"deployment": undoing.id, "collection": source, "inserted": True, "target": {"$in": attached}}
        own = await undoing.session.collection(marks.UNDO).count_documents(condition, session=undoing.session.within)
        if len(attached) > own:
            raise Clash(
                f"{len(attached) - own} documents of {source} refer to documents of {name} that would go;"
                " force the rollback"
            )
