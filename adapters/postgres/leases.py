"""Leases of claimed deployments: heartbeats prolong them, and what ran out is found."""

from datetime import datetime
from typing import Any
from uuid import UUID

from adapters.postgres.pools import Pools, again_when_cut_off
from domain.errors import LeaseLost
from projections.read_model import STILL, table
from projections.registry import DEPLOYMENTS


class Leases:
    """Heartbeats are no events: only the last one counts."""

    def __init__(self, pools: Pools) -> None:
        self.pools = pools

    async def prolong(self, organisation: str, deployment_id: UUID, fence: int, until: datetime) -> None:
        """LeaseLost when a newer claim holds the deployment, or this one has already been ended."""
        query = """insert into rollbook.leases values (%s, %s, %s, %s)
                   on conflict (deployment_id) do update set fence = excluded.fence, expires_at = excluded.expires_at
                    where leases.fence < excluded.fence
                       or (leases.fence = excluded.fence and leases.expires_at <> '-infinity')
                   returning fence"""
        if not await self.fetch(organisation, query, [deployment_id, organisation, fence, until]):
            raise LeaseLost("The lease on this deployment has ended")

    async def end_if_over(self, organisation: str, deployment_id: UUID, fence: int, now: datetime) -> bool:
        """Ends the lease unless a heartbeat came; afterwards no heartbeat can revive it."""
        query = """insert into rollbook.leases values (%s, %s, %s, '-infinity')
                   on conflict (deployment_id) do update set fence = excluded.fence, expires_at = '-infinity'
                    where leases.fence < excluded.fence or (leases.fence = excluded.fence and leases.expires_at < %s)
                   returning fence"""
        return bool(await self.fetch(organisation, query, [deployment_id, organisation, fence, now]))

    async def overdue(self, now: datetime, limit: int = 100) -> list[tuple[str, UUID, int]]:
        """Organisation, deployment and fence of claims whose runner was not heard of in time."""
        query = f"""select d.organisation, d.key::uuid, (d.document::json ->> 'fence')::int
                      from rollbook_views.{table(DEPLOYMENTS)} d
                      left join rollbook.leases l on l.deployment_id = d.key::uuid
                     where d.to_position = {STILL} and d.lease_until < %s
                       and (l.fence is distinct from (d.document::json ->> 'fence')::int or l.expires_at < %s)
                     limit %s"""

        async def read() -> list[Any]:
            async with self.pools.projector.connection() as connection:
                rows: list[Any] = await (await connection.execute(query.encode(), [now, now, limit])).fetchall()
                return rows

        return await again_when_cut_off(read)

    async def fetch(self, organisation: str, query: str, values: list[Any]) -> list[Any]:
        """Runs a statement of ours as a writer of this organisation."""

        async def run() -> list[Any]:
            async with self.pools.writing(organisation) as connection:
                rows: list[Any] = await (await connection.execute(query.encode(), values)).fetchall()
                return rows

        return await again_when_cut_off(run)
