"""Deliveries of webhooks: who may send what now, what has come of it, and what is sent once more."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from adapters.postgres.delivery_versions import DeliveryVersions, changing
from adapters.postgres.pools import Pools, again_when_cut_off
from domain.errors import Unavailable

# As long as one try may take, and a while more for its outcome to be written down.
LEASE = timedelta(seconds=30)
TOGETHER = 20
# Of one organisation so many are delivered to at once by all processes, so that slow ones leave room for others.
OF_ORGANISATION = 4
TAKE = """
with free as (
  select f.webhook_id from rollbook.webhook_followers f
   where not f.paused and coalesce(f.leased_until, '-infinity') < clock_timestamp()
     and coalesce(f.rests_until, '-infinity') < clock_timestamp()
     and exists (select from rollbook.webhook_deliveries d
                  where d.webhook_id = f.webhook_id and d.state = 'waiting' and d.due_at <= clock_timestamp())
     and (select count(*) from rollbook.webhook_followers o
           where o.organisation = f.organisation and o.leased_until > clock_timestamp()) < %s
   order by f.taken_at nulls first limit 1 for update skip locked)
update rollbook.webhook_followers f set leased_until = clock_timestamp() + %s, taken_at = clock_timestamp()
  from free where f.webhook_id = free.webhook_id
returning f.webhook_id, f.organisation, f.failures
"""
DUE = """
select delivery_id, position, attempts,
       coalesce(extract(epoch from clock_timestamp() - first_tried_at), 0)::float8
  from rollbook.webhook_deliveries
 where webhook_id = %s and state = 'waiting' and due_at <= clock_timestamp()
 order by position limit %s
"""
SETTLE = """
update rollbook.webhook_deliveries
   set state = %s, attempts = attempts + 1, due_at = clock_timestamp() + %s, status = %s, problem = %s,
       first_tried_at = coalesce(first_tried_at, clock_timestamp()), tried_at = clock_timestamp()
 where delivery_id = %s and state = 'waiting'
"""
SUCCEEDED = """
update rollbook.webhook_followers
   set failing_since = null, failures = 0, leased_until = clock_timestamp() + %s where webhook_id = %s
"""
FAILED = """
update rollbook.webhook_followers
   set failing_since = coalesce(failing_since, clock_timestamp()), failures = %s,
       rests_until = clock_timestamp() + %s, leased_until = clock_timestamp() + %s
 where webhook_id = %s
returning extract(epoch from clock_timestamp() - failing_since)::float8
"""
FREE = "update rollbook.webhook_followers set leased_until = null where webhook_id = %s"
TIDY = """
delete from rollbook.webhook_deliveries
 where ctid = any(array(select ctid from rollbook.webhook_deliveries
                         where state <> 'waiting' and tried_at < clock_timestamp() - %s limit %s))
"""
STATE = """
select count(*) filter (where d.state = 'waiting' and not f.paused), count(*) filter (where d.state = 'dead'),
       coalesce(extract(epoch from clock_timestamp() - min(d.queued_at)
                filter (where d.state = 'waiting' and not f.paused)), 0)::float8
  from rollbook.webhook_deliveries d join rollbook.webhook_followers f using (webhook_id)
 where d.state <> 'delivered'
"""
LISTED = """
select delivery_id as id, event_id, topic, position, state, attempts, due_at, queued_at, tried_at, status, problem
  from rollbook.webhook_deliveries
 where webhook_id = %s and organisation = %s and (%s::text is null or state = %s)
   and (%s::bigint is null or position < %s) and (%s::uuid is null or delivery_id = %s)
 order by position desc limit %s
"""
REPLAY = """
update rollbook.webhook_deliveries
   set state = 'waiting', attempts = 0, due_at = clock_timestamp(), first_tried_at = null
 where webhook_id = %s and organisation = %s and (%s::uuid is null and state = 'dead' or delivery_id = %s)
"""
# Not beyond what was followed: nothing between may be passed over.
SEQUENCE = """
select coalesce(max(e.sequence), 0) from rollbook.events e
 where e.organisation = %s and e.position <= least(%s, (select position from rollbook.webhook_progress))
"""
FALL_BACK = """
update rollbook.webhook_followers set behind_sequence = least(behind_sequence, %s)
 where webhook_id = %s and organisation = %s
"""


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery to be sent now; `age` is how many seconds ago it was first tried."""

    delivery_id: UUID
    position: int
    attempts: int
    age: float


@dataclass(frozen=True, slots=True)
class Taken:
    """A webhook that nobody else delivers to meanwhile, and what it is to be told, in order."""

    webhook_id: UUID
    organisation: str
    failures: int
    due: tuple[Due, ...]


@dataclass(frozen=True, slots=True)
class DeliveriesState:
    """What waits for webhooks that are not paused, what was given up, and for how many seconds the first has waited."""

    waiting: int = 0
    dead: int = 0
    age: float = 0.0


class WebhookDeliveries:
    """Processes compete for webhooks, not for deliveries, so that each webhook is told of things in their order."""

    def __init__(self, pools: Pools) -> None:
        self.pools = pools
        self.versions = DeliveryVersions(pools)

    async def take(self) -> Taken | None:
        """A webhook for which something is due, the one that was served longest ago first."""
        async with self.pools.projector.connection() as connection:
            found = await rows(connection, TAKE, [OF_ORGANISATION, LEASE])
            if not found:
                return None
            ((webhook_id, organisation, failures),) = found
            due = await rows(connection, DUE, [webhook_id, TOGETHER])
        return Taken(webhook_id, organisation, failures, tuple(Due(*row) for row in due))

    async def succeeded(self, webhook_id: UUID, delivery_id: UUID, status: int) -> None:
        """The receiver has it; the webhook is served for a while more."""

        async def run() -> None:
            async with changing(self.pools) as connection:
                values = ["delivered", timedelta(0), status, None, delivery_id]
                await connection.execute(SETTLE, values)
                await connection.execute(SUCCEEDED, [LEASE, webhook_id])

        await again_when_cut_off(run)

    async def failed(
        self,
        webhook_id: UUID,
        delivery_id: UUID,
        outcome: tuple[int | None, str],
        again_in: float | None,
        failures: int,
        rest: float,
    ) -> float:
        """It is due again after so many seconds, or dead; for how many seconds nothing has succeeded."""
        state, wait = ("dead", 0.0) if again_in is None else ("waiting", again_in)

        async def run() -> float:
            async with changing(self.pools) as connection:
                await connection.execute(SETTLE, [state, timedelta(seconds=wait), *outcome, delivery_id])
                values = [failures, timedelta(seconds=rest), LEASE, webhook_id]
                found = await rows(connection, FAILED, values)
                return float(found[0][0]) if found else 0.0

        return await again_when_cut_off(run)

    async def free(self, webhook_id: UUID) -> None:
        """Lets others deliver to it."""
        async with self.pools.projector.connection() as connection:
            await connection.execute(FREE, [webhook_id])

    async def tidy(self, kept: timedelta, limit: int) -> int:
        """Forgets what was delivered or given up so long ago, and what deliveries were before; how many, at most."""
        async with changing(self.pools) as connection:
            forgotten = (await connection.execute(TIDY, [kept, limit])).rowcount
        return max(forgotten, await self.versions.forget(kept, limit))

    async def state(self) -> DeliveriesState:
        """How far behind deliveries are."""
        async with self.pools.projector.connection() as connection:
            return DeliveriesState(*(await rows(connection, STATE, []))[0])

    async def listed(
        self,
        organisation: str,
        webhook_id: UUID,
        state: str | None,
        before: int | None,
        limit: int,
        delivery_id: UUID | None = None,
    ) -> list[dict[str, Any]]:
        """What has become of deliveries, that of the newest event first."""
        values = [webhook_id, organisation, state, state, before, before, delivery_id, delivery_id, limit]

        async def read() -> list[dict[str, Any]]:
            async with (
                self.pools.reading(organisation) as connection,
                connection.cursor(row_factory=dict_row) as cursor,
            ):
                return await (await cursor.execute(LISTED, values)).fetchall()

        return await again_when_cut_off(read)

    async def replay(self, organisation: str, webhook_id: UUID, delivery_id: UUID | None = None) -> int:
        """Sends one more time what is dead, or one delivery whatever became of it; how many."""
        return await self.change(organisation, REPLAY, [webhook_id, organisation, delivery_id, delivery_id])

    async def replay_from(self, organisation: str, webhook_id: UUID, position: int) -> None:
        """Tells the webhook of everything beyond a position once more, as its filters are now."""
        async with self.pools.reading(organisation) as connection:
            ((sequence,),) = await rows(connection, SEQUENCE, [organisation, position])
        if not await self.change(organisation, FALL_BACK, [sequence, webhook_id, organisation]):
            raise Unavailable("The webhook has only just been made, or no worker runs: ask again")

    async def change(self, organisation: str, query: str, values: list[Any]) -> int:
        """Runs a statement of ours as a writer of this organisation; how many rows it changed."""

        async def run() -> int:
            async with self.pools.writing(organisation) as connection:
                return (await connection.execute(query.encode(), values)).rowcount

        return await again_when_cut_off(run)


async def rows(connection: AsyncConnection[Any], query: str, values: list[Any]) -> list[Any]:
    """What a query of ours answers."""
    return await (await connection.execute(query.encode(), values)).fetchall()
