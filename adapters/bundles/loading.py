"""Puts a bundle into an empty store, so that it answers as the store did that the bundle is from."""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import orjson
import psycopg
from psycopg import AsyncConnection, sql

from adapters.bundles.manifest import BundleRefused, Manifest
from adapters.bundles.reading import Bundle, part_of
from adapters.postgres import tables
from adapters.postgres.backup_rows import sealed
from adapters.postgres.intervals import fork_of
from projections.read_model import STILL, ReadModel, table
from projections.registry import READ_MODELS

PARTITION = 10_000_000
TOGETHER = 1000
MOST_BYTES = 8 * 1024 * 1024
ELSEWHERE = UUID("6b1f6f4e-8f0c-5a55-9d53-0b7f8f6c9e01")
NO_HASH = "00" * 32
# In this order, as heads are of checkpoints.
SEALED = (("checkpoints", "sealed_checkpoints"), ("heads", "checkpoint_heads"))
MISFITS = (psycopg.DataError, psycopg.IntegrityError)
Line = dict[str, Any]
EVENTS = """
insert into rollbook.events
select position, commit_position, event_id, stream_id, version, topic, schema_version, organisation, sequence,
       recorded_at, convert_to(envelope, 'UTF8'), convert_to(payload, 'UTF8'), decode(previous_hash, 'hex'),
       decode(hash, 'hex')
  from json_to_recordset(%s::json) as e (
       position bigint, commit_position bigint, event_id uuid, stream_id text, version integer, topic text,
       schema_version integer, organisation text, sequence bigint, recorded_at timestamptz, envelope text, payload text,
       previous_hash text, hash text)
"""
# The log has gaps here: moments and sequences are looked up among the events that there are.
AMONG_THESE = """
create or replace function rollbook.position_at(moment timestamptz) returns bigint
language sql stable security definer set search_path = rollbook, pg_temp as $$
    select coalesce((select position from events where recorded_at <= moment order by recorded_at desc limit 1), 0)
$$;
create or replace function rollbook.sequence_at(of_organisation text, some_position bigint) returns bigint
language sql stable security definer set search_path = rollbook, pg_temp as $$
    select coalesce((select sequence from events where organisation = of_organisation and position <= some_position
                      order by sequence desc limit 1), 0)
$$;
create index events_by_moment on rollbook.events (recorded_at, position);
"""
IDENTITY = "update rollbook.identity set store_id = %s, epoch = %s"


async def load(owner_url: str, projector: AsyncConnection[Any], bundle: Bundle) -> None:
    """Everything, checked on its way in; BundleRefused leaves a store behind that nobody should ask."""
    manifest = bundle.manifest
    async with await psycopg.AsyncConnection.connect(owner_url, autocommit=True) as owner:
        await owner.execute(IDENTITY, [manifest.store_id, manifest.epoch])
        await owner.execute(AMONG_THESE)
        await load_log(owner, bundle)
        for part, name in SEALED:
            for lines in groups(bundle.lines(f"{part}.ndjson")):
                await insert(owner, sql.Identifier("rollbook", name), lines)
    for model in READ_MODELS:
        await load_rows(projector, bundle, model)
        names = [table(model), manifest.to_position, manifest.epoch]
        await projector.execute("insert into rollbook_views.checkpoints values (%s, %s, %s)", names)


async def load_log(owner: AsyncConnection[Any], bundle: Bundle) -> None:
    """The events, and the ends of commits that are not among them."""
    known: set[int] = set()
    made: set[int] = set()
    for events in groups(checked(bundle)):
        known.update(event["position"] for event in events)
        await append(owner, events, made)
    ends = (line for line in bundle.lines("timeline.ndjson") if line.get("position") not in known)
    for lines in groups(ends):
        await append(owner, [elsewhere(line) for line in lines], made)


async def append(owner: AsyncConnection[Any], events: list[Line], made: set[int]) -> None:
    """Some events, in partitions made for them."""
    for first in {event["position"] // PARTITION * PARTITION for event in events} - made:
        await owner.execute("select rollbook.add_partition(%s)", [first])
        made.add(first)
    try:
        await owner.execute(EVENTS, [orjson.dumps(events).decode()])
    except MISFITS as problem:
        raise BundleRefused("An event of the bundle does not fit the log") from problem


def checked(bundle: Bundle) -> Iterator[Line]:
    """The events of the bundle, each as it was sealed; where one follows on another, so do their hashes."""
    last: tuple[int, str] | None = None
    for event in bundle.lines("events.ndjson"):
        try:
            check_event(event, bundle.manifest)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            raise BundleRefused("An event of the bundle lacks something, or has it in another shape") from None
        if last and event["sequence"] == last[0] + 1 and event["previous_hash"] != last[1]:
            raise broken(event, "does not follow the one before it")
        last = event["sequence"], event["hash"]
        yield event


def check_event(event: Line, manifest: Manifest) -> None:
    """Its hash seals its envelope and its payload, and its columns say what the envelope says."""
    if event["organisation"] != manifest.organisation or not 0 < event["position"] <= manifest.to_position:
        raise broken(event, "is not of the span of the bundle")
    envelope, payload = event["envelope"].encode(), event["payload"].encode()
    inner = hashlib.sha256(envelope).digest() + hashlib.sha256(payload).digest()
    if hashlib.sha256(bytes.fromhex(event["previous_hash"]) + inner).hexdigest() != event["hash"]:
        raise broken(event, "was changed: its hash differs")
    names = ("position", "commit_position", "sequence", "version", "schema_version")
    said = sealed(envelope)
    texts = tuple(event[name] for name in ("event_id", "stream_id", "topic", "organisation"))
    at = datetime.fromisoformat(event["recorded_at"]) == datetime.fromisoformat(str(said[5]))
    if not at or (*said[:5], *said[6:]) != (*(event[name] for name in names), *texts):
        raise broken(event, "says something else than its sealed envelope")


def broken(event: Line, how: str) -> BundleRefused:
    """What to tell."""
    return BundleRefused(f"The event at position {event.get('position')} {how}")


def elsewhere(line: Line) -> Line:
    """Stands for the end of a commit that is not in the bundle; nobody may read it."""
    position, at = line.get("position"), line.get("recorded_at")
    if not isinstance(position, int) or not isinstance(at, str):
        raise BundleRefused("timeline.ndjson has a line without a position and a moment")
    place = {"position": position, "commit_position": position, "sequence": position, "recorded_at": at}
    names = {"event_id": str(uuid5(ELSEWHERE, str(position))), "stream_id": f"elsewhere-{position}"}
    facts = {"version": 1, "topic": "elsewhere", "schema_version": 1, "organisation": ""}
    return {**place, **names, **facts, "envelope": "{}", "payload": "{}", "previous_hash": NO_HASH, "hash": NO_HASH}


async def load_rows(projector: AsyncConnection[Any], bundle: Bundle, model: ReadModel) -> None:
    """The rows of a read model, none where the bundle has none; what ended only after the span has not ended here."""
    await tables.create(projector, model, table(model))
    last = bundle.manifest.to_position
    for lines in groups(bundle.lines(part_of(model)) if part_of(model) in bundle.parts else ()):
        await insert(projector, tables.named(table(model)), [within(line, bundle.manifest, last) for line in lines])
    await tables.index(projector, model, table(model))


def within(line: Line, manifest: Manifest, last: int) -> Line:
    """A row version as it was at the end of the span."""
    first, ended = line.get("from_position"), line.get("to_position")
    if not isinstance(first, int) or not isinstance(ended, int) or not 0 < first <= last or first >= ended:
        raise BundleRefused("A row of the bundle is not of its span")
    if line.get("organisation") != manifest.organisation:
        raise BundleRefused("A row of the bundle is another organisation's")
    until = STILL if ended > last else ended
    return {**line, "to_position": until, "fork": fork_of(first, until)}


async def insert(connection: AsyncConnection[Any], name: sql.Identifier, lines: list[Line]) -> None:
    """Rows, by the names of their columns."""
    query = sql.SQL("insert into {0} select * from json_populate_recordset(null::{0}, %s::json)").format(name)
    try:
        await connection.execute(query, [orjson.dumps(lines).decode()])
    except MISFITS as problem:
        raise BundleRefused("A row of the bundle does not fit its table") from problem


def groups(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """So many at a time, and no more bytes than that, whoever made the bundle."""
    group, size = list[Line](), 0
    for line in lines:
        group.append(line)
        size += len(orjson.dumps(line))
        if len(group) == TOGETHER or size > MOST_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
