"""All of webhooks that one process has: what is followed, what is due, where to, and who waits for it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

from adapters.postgres.log import PostgresLog
from adapters.postgres.people import People
from adapters.postgres.pools import Pools
from adapters.postgres.webhook_deliveries import WebhookDeliveries
from adapters.postgres.webhook_endpoints import WebhookEndpoints
from adapters.postgres.webhook_queue import WebhookQueue
from adapters.webhooks.addresses import Addresses, Target
from adapters.webhooks.posting import Outcome, check
from adapters.webhooks.sending import Sending


@dataclass(slots=True)
class Webhooks:
    """Whoever waits here is let go when something may be due."""

    queue: WebhookQueue
    deliveries: WebhookDeliveries
    endpoints: WebhookEndpoints
    sending: Sending
    due: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, pools: Pools, log: PostgresLog, people: People, addresses: Addresses, seconds: float) -> "Webhooks":
        """Those of one store."""
        endpoints = WebhookEndpoints(pools, people)
        sending = Sending(endpoints, addresses, seconds)
        return cls(WebhookQueue(pools, log), WebhookDeliveries(pools), endpoints, sending)

    async def check(self, url: str) -> Target:
        """What an address names, if webhooks may go there; Invalid when not."""
        return await check(url, self.sending.addresses)

    async def try_out(self, organisation: str, webhook_id: UUID, body: Callable[[UUID], bytes]) -> Outcome:
        """Sends something once that is no delivery."""
        return await self.sending.try_out(organisation, webhook_id, body)

    def wake(self) -> None:
        """Something may be due, or somebody is free to send it."""
        self.due.set()

    async def wait(self, seconds: float) -> None:
        """Until something may be due, or so long."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.due.wait(), seconds)
        self.due.clear()
