"""Sends to webhooks: knows where to and under which secret, signs, and posts only where it may."""

import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from uuid import UUID, uuid4

import httpx2

from adapters.postgres.webhook_endpoints import Endpoint, WebhookEndpoints
from adapters.webhooks.addresses import Addresses
from adapters.webhooks.bodies import MEDIA_TYPE
from adapters.webhooks.posting import TOTAL_SECONDS, Outcome, Poster
from adapters.webhooks.signing import headers

AGENT = f"Rollbook/{version('rollbook')}"
UNREADABLE = "the address cannot be opened any more"


@dataclass(slots=True)
class Line:
    """A way to one webhook, open for a few seconds."""

    endpoint: Endpoint
    poster: Poster
    clock: Callable[[], float]

    async def send(self, delivery_id: UUID, body: bytes) -> Outcome:
        """One try."""
        told = {"content-type": MEDIA_TYPE, "user-agent": AGENT, "accept-encoding": "identity"}
        signed = headers(self.endpoint.secrets, str(delivery_id), int(self.clock()), body)
        return await self.poster.post(body, {**told, **signed})


class Sending:
    """`seconds` is how long one try may take in all, `clock` what is signed as the time."""

    def __init__(
        self,
        endpoints: WebhookEndpoints,
        addresses: Addresses,
        seconds: float = TOTAL_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.endpoints = endpoints
        self.addresses = addresses
        self.seconds = seconds
        self.clock = clock

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """The authorities that are believed; read once, as that takes a while."""
        return httpx2.create_ssl_context()

    @asynccontextmanager
    async def line(self, organisation: str, webhook_id: UUID) -> AsyncIterator[Line | None]:
        """A way to a webhook; None where its address is not there or cannot be opened any more."""
        endpoint = await self.endpoints.find(organisation, webhook_id)
        if endpoint is None:
            yield None
            return
        async with Poster(endpoint.url, self.addresses, self.tls, self.seconds) as poster:
            yield Line(endpoint, poster, self.clock)

    async def try_out(self, organisation: str, webhook_id: UUID, body: Callable[[UUID], bytes]) -> Outcome:
        """Sends something once that is no delivery."""
        ping_id = uuid4()
        async with self.line(organisation, webhook_id) as line:
            return await line.send(ping_id, body(ping_id)) if line else Outcome(None, UNREADABLE, 0)
