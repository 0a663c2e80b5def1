"""What deliveries of webhooks were at a moment of the last days; what was answered about one is answered for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from adapters.postgres.intervals import forks_at
from adapters.postgres.pools import Pools, again_when_cut_off
from domain.errors import Invalid, Unavailable

STATES = ("waiting", "delivered", "dead")
UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# Triggers take the same, but may have to wait for it behind who holds what this transaction needs next.
UNDER_WAY = "select pg_advisory_xact_lock_shared(7240564)"
SETTLED = "select rollbook.settle_deliveries()"
THEN = """
select found.delivery_id as id, event_id, topic, position, found.state, attempts, due_at, queued_at, tried_at, status,
       problem
  from unnest(%(states)s::text[]) as asked (state) cross join unnest(%(forks)s::bigint[]) as filed (at)
 cross join lateral (
    select * from rollbook.webhook_delivery_versions v
     where v.webhook_id = %(webhook_id)s and v.organisation = %(organisation)s and v.state = asked.state
       and v.fork = filed.at and v.position <= %(position)s
       and v.since <= %(moment)s and v.until > %(moment)s
     order by v.position desc limit %(limit)s) found
 order by position desc limit %(limit)s
"""
KNOWN_SINCE = "select rollbook.deliveries_known_since(%s)"
# Before what is behind it goes; it never moves back, so that nothing is answered of which a part is forgotten.
MOVE_HORIZON = """
insert into rollbook.webhook_horizons as h (organisation, moment) values ('', rollbook.delivery_moment())
on conflict (organisation) do update set moment = greatest(h.moment, clock_timestamp() - %s)
"""
FORGET = """
delete from rollbook.webhook_delivery_versions
 where ctid = any(array(select ctid from rollbook.webhook_delivery_versions
                         where until < 'infinity'
                           and until <= (select moment from rollbook.webhook_horizons where organisation = '')
                         limit %s))
"""
FORGET_NOW = """
insert into rollbook.webhook_horizons (organisation, moment) select unnest(%s::text[]), rollbook.delivery_moment()
on conflict (organisation) do update set moment = greatest(webhook_horizons.moment, excluded.moment)
"""
ERASE = """
delete from rollbook.webhook_delivery_versions
 where webhook_id = any(array(select substr(stream_id, 9)::uuid from rollbook.events
                               where organisation = any(%s) and topic = 'webhook.subscribed'))
"""


@dataclass(frozen=True, slots=True)
class Point:
    """A moment, the position of the log that was the last then, and what a caller is to ask for to mean both again."""

    moment: datetime
    position: int
    reference: str


@asynccontextmanager
async def changing(pools: Pools) -> AsyncIterator[AsyncConnection[Any]]:
    """A transaction that changes deliveries: who asks for the past waits for its end."""
    async with pools.projector.connection() as connection, connection.transaction():
        await connection.execute(UNDER_WAY)
        yield connection


class DeliveryVersions:
    """One question at a time waits for changes: else all connections could wait for who changes and needs one too."""

    def __init__(self, pools: Pools) -> None:
        self.pools = pools
        self.turn = asyncio.Lock()

    async def listed(
        self, organisation: str, webhook_id: UUID, state: str | None, before: int | None, limit: int, past: Point
    ) -> list[dict[str, Any]]:
        """What had become of deliveries at a moment; Invalid when something of then may be forgotten."""
        values = {
            "states": [state] if state else list(STATES),
            "forks": forks_at(max(1, (past.moment - UNIX_EPOCH) // MICROSECOND)),
            "webhook_id": webhook_id,
            "organisation": organisation,
            "position": past.position if before is None else min(past.position, before - 1),
            "moment": past.moment,
            "limit": limit,
        }

        async def read() -> list[dict[str, Any]]:
            await self.settle(organisation)
            return await self.read(organisation, past.moment, values)

        return await again_when_cut_off(read)

    async def settle(self, organisation: str) -> None:
        """Waits for the changes that are under way, but not for ever."""
        async with self.turn, self.pools.reading(organisation) as connection:
            try:
                await connection.execute(SETTLED)
            except psycopg.errors.LockNotAvailable as problem:
                raise Unavailable("A change of deliveries takes long: ask again") from problem

    async def read(self, organisation: str, moment: datetime, values: dict[str, Any]) -> list[dict[str, Any]]:
        """The rows, if nothing of then was forgotten before they were read."""
        async with self.pools.reading(organisation) as connection, connection.cursor(row_factory=dict_row) as cursor:
            found = await (await cursor.execute(THEN, values)).fetchall()
            # Only now: what was forgotten before this was read is behind the horizon by now.
            known = await (await cursor.execute(KNOWN_SINCE, [organisation])).fetchone()
        refuse_forgotten(moment, known["deliveries_known_since"] if known else None)
        return found

    async def forget(self, kept: timedelta, limit: int) -> int:
        """Forgets what deliveries were longer ago than that; how many versions, at most so many."""
        async with changing(self.pools) as connection:
            await connection.execute(MOVE_HORIZON, [kept])
            return (await connection.execute(FORGET, [limit])).rowcount


def refuse_forgotten(moment: datetime, known_since: datetime | None) -> None:
    """Invalid where the answer could be another one than it was."""
    if known_since is None:
        raise Invalid("as_of: nothing is known of what deliveries were")
    if moment < known_since:
        since = known_since.astimezone(UTC).isoformat().replace("+00:00", "Z")
        raise Invalid(f"as_of is before {since}: of what deliveries were then something may be forgotten")


async def erase(connection: AsyncConnection[Any], organisations: list[str]) -> None:
    """Forgets all versions of these, inside the caller's transaction."""
    if organisations:
        await connection.execute(FORGET_NOW, [organisations])
        await connection.execute(ERASE, [organisations])
