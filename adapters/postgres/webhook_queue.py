"""Follows the log for webhooks: what each is to be told of stands in a table, written together with how far it got."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from adapters.failpoints import failpoint
from adapters.feed.streams import NOTHING, Streams
from adapters.feed.wanted import About
from adapters.postgres.delivery_versions import changing, erase
from adapters.postgres.log import PostgresLog
from adapters.postgres.pools import Pools, again_when_cut_off
from application.webhook_filters import lets_through, needs_place
from domain.recorded import RecordedEvent

TOGETHER = 500
# A webhook with so many deliveries before it gets no more until it has got rid of some.
MOST_WAITING = 10_000
PROGRESS = "select position from rollbook.webhook_progress"
ADVANCE = "update rollbook.webhook_progress set position = %s where position = %s returning position"
FOLLOWERS = """
select webhook_id, organisation, filters, paused, behind_sequence
  from rollbook.webhook_followers where organisation = any(%s) order by webhook_id for update
"""
KEEP = """
insert into rollbook.webhook_followers (webhook_id, organisation, filters, paused, behind_sequence)
values (%s, %s, %s, %s, %s)
on conflict (webhook_id) do update
   set filters = excluded.filters, paused = excluded.paused, behind_sequence = excluded.behind_sequence
"""
AGAIN = """
update rollbook.webhook_followers set failing_since = null, failures = 0, rests_until = null where webhook_id = any(%s)
"""
END = "delete from rollbook.webhook_followers where webhook_id = any(%s)"
END_ENDPOINTS = "delete from rollbook.webhook_endpoints where webhook_id = any(%s)"
END_ALL_ENDPOINTS = "delete from rollbook.webhook_endpoints where organisation = any(%s)"
QUEUE = """
insert into rollbook.webhook_deliveries (webhook_id, position, organisation, delivery_id, event_id, topic)
select * from unnest(%s::uuid[], %s::bigint[], %s::text[], %s::uuid[], %s::uuid[], %s::text[])
on conflict (webhook_id, position) do update
   set state = 'waiting', attempts = 0, due_at = clock_timestamp(), first_tried_at = null, status = null, problem = null
"""
WAITING = """(select count(*) from (select from rollbook.webhook_deliveries d
               where d.webhook_id = f.webhook_id and d.state = 'waiting' limit %s) counted)"""
BEHIND = f"""
select f.webhook_id, f.organisation, f.filters, f.paused, f.behind_sequence
  from rollbook.webhook_followers f
 where f.behind_sequence is not null and not f.paused and {WAITING} < %s
 order by f.taken_at nulls first limit 1
"""
CAUGHT_UP = """
update rollbook.webhook_followers set behind_sequence = %s where webhook_id = %s and behind_sequence = %s and not paused
"""
HOLD_BACK = f"""
update rollbook.webhook_followers f
   set behind_sequence = (select coalesce(max(e.sequence), 0) from rollbook.events e
                           where e.organisation = f.organisation and e.position <= %s)
 where f.behind_sequence is null and {WAITING} > %s
"""


@dataclass(slots=True)
class Follower:
    """A webhook as it is at some place of the log. `behind` is how far it was followed; None: as far as all others."""

    webhook_id: UUID
    organisation: str
    filters: dict[str, list[str]]
    paused: bool = False
    behind: int | None = None


@dataclass(slots=True)
class Batch:
    """What a stretch of the log means for webhooks."""

    followers: dict[UUID, Follower]
    deliveries: list[tuple[Follower, RecordedEvent]] = field(default_factory=list)
    changed: set[UUID] = field(default_factory=set)
    resumed: set[UUID] = field(default_factory=set)
    ended: set[UUID] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)

    def add(self, event: RecordedEvent, about: About) -> None:
        """The next event: first whom it is told to, then what it changes of that."""
        for follower in self.followers.values():
            in_step = follower.behind is None and follower.organisation == event.organisation
            if in_step and lets_through(follower.filters, event.topic, about):
                self.deliveries.append((follower, event))
        if event.topic.startswith("webhook."):
            self.change(UUID(event.stream_id[8:]), event)
        elif event.topic == "organisation.erased":
            self.erased.add(event.organisation)
            self.end([one.webhook_id for one in self.followers.values() if one.organisation == event.organisation])

    def change(self, webhook_id: UUID, event: RecordedEvent) -> None:
        """What an event of a webhook changes."""
        if event.topic == "webhook.subscribed":
            self.followers[webhook_id] = Follower(webhook_id, event.organisation, event.data["filters"])
        elif (follower := self.followers.get(webhook_id)) is None:
            return
        elif event.topic == "webhook.removed":
            return self.end([webhook_id])
        elif event.topic == "webhook.changed":
            follower.filters = event.data["changes"].get("filters", follower.filters)
        elif event.topic == "webhook.paused":
            follower.paused = True
            follower.behind = event.sequence if follower.behind is None else follower.behind
        elif event.topic == "webhook.resumed":
            follower.paused = False
            self.resumed.add(webhook_id)
        self.changed.add(webhook_id)

    def end(self, webhook_ids: Iterable[UUID]) -> None:
        """They are told of nothing any more, neither of what waits."""
        self.ended.update(webhook_ids)
        for webhook_id in self.ended:
            self.followers.pop(webhook_id, None)


class WebhookQueue:
    """Any number may follow: a stretch of the log is written by whoever comes first, and by nobody else."""

    def __init__(self, pools: Pools, log: PostgresLog) -> None:
        self.pools = pools
        self.log = log
        self.streams = Streams(pools)

    async def progress(self) -> int:
        """How far the log was followed."""
        return int(await self.log.value(PROGRESS) or 0)

    async def advance(self) -> int:
        """Follows the next stretch of the log; how many events it had."""
        seen = await self.progress()
        if not (events := await self.log.read_after(seen, TOGETHER)):
            return 0
        async with changing(self.pools) as connection:
            if await rows(connection, ADVANCE, [events[-1].position, seen]):
                found = await rows(connection, FOLLOWERS, [list({event.organisation for event in events})])
                await self.follow(connection, Batch({row[0]: Follower(*row) for row in found}), events)
            failpoint("before_webhook_commit")
        failpoint("after_webhook_commit")
        return len(events)

    async def follow(self, connection: AsyncConnection[Any], batch: Batch, events: Sequence[RecordedEvent]) -> None:
        """Writes down what a stretch of the log means, inside the caller's transaction."""
        asking = {one.organisation for one in batch.followers.values() if needs_place(one.filters)}
        asking |= {event.organisation for event in events if event.topic in ("webhook.subscribed", "webhook.changed")}
        about: dict[int, About] = {}
        for organisation in asking:
            about |= await self.about(organisation, [one for one in events if one.organisation == organisation])
        for event in events:
            batch.add(event, about.get(event.position, NOTHING))
        await write(connection, batch)

    async def catch_up(self) -> int:
        """Follows a stretch for one webhook that is not in step; how many events it had, or 1 when it now is."""
        limit = await self.progress()
        async with self.pools.projector.connection() as connection:
            found = await rows(connection, BEHIND, [MOST_WAITING, MOST_WAITING])
        if not found:
            return 0
        follower = Follower(*found[0])
        condition = "organisation = %s and sequence > %s and position <= %s order by sequence limit %s"
        events = await self.log.rows(condition, [follower.organisation, follower.behind, limit, TOGETHER])
        async with changing(self.pools) as connection:
            ((now,),) = await rows(connection, f"{PROGRESS} for update", [])
            in_step = now == limit and len(events) < TOGETHER
            reached = None if in_step else events[-1].sequence if events else follower.behind
            values = [reached, follower.webhook_id, follower.behind]
            if (await connection.execute(CAUGHT_UP, values)).rowcount:
                await self.repeat(connection, follower, events)
        return len(events) or 1

    async def repeat(self, connection: AsyncConnection[Any], follower: Follower, events: list[RecordedEvent]) -> None:
        """What one webhook is to be told of a stretch that the others were told of already."""
        about = await self.about(follower.organisation, events) if needs_place(follower.filters) else {}
        told = [e for e in events if lets_through(follower.filters, e.topic, about.get(e.position, NOTHING))]
        await write(connection, Batch({}, [(follower, event) for event in told]))

    async def hold_back(self) -> None:
        """Lets webhooks fall behind that have more before them than they get rid of."""

        async def run() -> None:
            async with self.pools.projector.connection() as connection, connection.transaction():
                for (position,) in await rows(connection, f"{PROGRESS} for update", []):
                    await connection.execute(HOLD_BACK.encode(), [position, MOST_WAITING + 1, MOST_WAITING])

        await again_when_cut_off(run)

    async def about(self, organisation: str, events: Sequence[RecordedEvent]) -> dict[int, About]:
        """What each event is about, by position."""
        found = await self.streams.about(organisation, events)
        return {event.position: about for event, about in zip(events, found, strict=True)}


async def write(connection: AsyncConnection[Any], batch: Batch) -> None:
    """All that follows from a stretch of the log, inside the caller's transaction."""
    for webhook_id in batch.changed - batch.ended:
        one = batch.followers[webhook_id]
        values = [one.webhook_id, one.organisation, Jsonb(one.filters), one.paused, one.behind]
        await connection.execute(KEEP, values)
    if batch.resumed:
        await connection.execute(AGAIN, [list(batch.resumed)])
    if batch.ended or batch.erased:
        await connection.execute(END, [list(batch.ended)])
        await connection.execute(END_ENDPOINTS, [list(batch.ended)])
        await connection.execute(END_ALL_ENDPOINTS, [list(batch.erased)])
        await erase(connection, list(batch.erased))
    wanted = [(one, event) for one, event in batch.deliveries if one.webhook_id not in batch.ended]
    if wanted:
        columns = zip(*(delivery(one, event) for one, event in wanted), strict=True)
        await connection.execute(QUEUE, [list(column) for column in columns])


def delivery(follower: Follower, event: RecordedEvent) -> tuple[Any, ...]:
    """A row; its id is the same however often it is made."""
    delivery_id = uuid5(follower.webhook_id, str(event.event_id))
    return (follower.webhook_id, event.position, event.organisation, delivery_id, event.event_id, event.topic)


async def rows(connection: AsyncConnection[Any], query: str, values: list[Any]) -> list[Any]:
    """What a query of ours answers."""
    return await (await connection.execute(query.encode(), values)).fetchall()
