"""Addresses and secrets of webhooks, sealed under their organisation's key: whoever destroys that key ends them."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from adapters.keyring import seal, unseal
from adapters.postgres.people import People
from adapters.postgres.pools import Pools, again_when_cut_off

# For so long a receiver may go on checking with the secret that was.
OVERLAP = timedelta(hours=24)
# An address that nobody subscribed with in the end: the append failed, or was a repetition.
LEFT = timedelta(hours=1)
KEEP = """
insert into rollbook.webhook_endpoints (webhook_id, organisation, sealed_url, sealed_secret) values (%s, %s, %s, %s)
on conflict (webhook_id) do nothing
"""
SET_URL = """
update rollbook.webhook_endpoints set sealed_url = %s, url_position = %s where webhook_id = %s and url_position < %s
"""
ROTATE = """
update rollbook.webhook_endpoints
   set sealed_previous = sealed_secret, previous_until = clock_timestamp() + %s,
       sealed_secret = %s, secret_position = %s
 where webhook_id = %s and secret_position < %s
"""
FIND = """
select sealed_url, sealed_secret, case when previous_until > clock_timestamp() then sealed_previous end
  from rollbook.webhook_endpoints where webhook_id = %s and organisation = %s
"""
# By the time of what was followed last: while nobody follows, who subscribed is not known yet.
FORGET = """
delete from rollbook.webhook_endpoints e
 where e.kept_at < (select recorded_at from rollbook.events natural join rollbook.webhook_progress) - %s
   and not exists (select from rollbook.webhook_followers f where f.webhook_id = e.webhook_id)
"""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to, and the secrets to sign with, the present one first. It must never be written down anywhere."""

    url: str
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return "Endpoint(...)"


class WebhookEndpoints:
    """One a webhook. What is set counts from an event, so that the newest event wins whoever writes last."""

    def __init__(self, pools: Pools, people: People) -> None:
        self.pools = pools
        self.people = people

    async def keep(self, organisation: str, webhook_id: UUID, url: str, secret: str) -> None:
        """Keeps both, before anybody can know of the webhook."""
        sealed = [await self.sealed(organisation, webhook_id, *one) for one in (("url", url), ("secret", secret))]
        await self.write(organisation, KEEP, [webhook_id, organisation, *sealed])

    async def set_url(self, organisation: str, webhook_id: UUID, url: str, position: int) -> None:
        """Another address, from an event on."""
        sealed = await self.sealed(organisation, webhook_id, "url", url)
        await self.write(organisation, SET_URL, [sealed, position, webhook_id, position])

    async def rotate(self, organisation: str, webhook_id: UUID, secret: str, position: int) -> None:
        """Another secret, from an event on; the one before it signs beside it for a day."""
        sealed = await self.sealed(organisation, webhook_id, "secret", secret)
        await self.write(organisation, ROTATE, [OVERLAP, sealed, position, webhook_id, position])

    async def drop(self, organisation: str, webhook_id: UUID) -> None:
        """Forgets both."""
        await self.write(organisation, "delete from rollbook.webhook_endpoints where webhook_id = %s", [webhook_id])

    async def find(self, organisation: str, webhook_id: UUID) -> Endpoint | None:
        """None when there is none, or none that can still be opened."""

        async def read() -> Any:
            async with self.pools.writing(organisation) as connection:
                return await (await connection.execute(FIND, [webhook_id, organisation])).fetchone()

        if (row := await again_when_cut_off(read)) is None:
            return None
        key = await self.people.organisation_key(organisation)
        try:
            url, *secrets = (
                unseal(key, bytes(sealed), context(webhook_id, what)).decode()
                for what, sealed in zip(("url", "secret", "secret"), row, strict=True)
                if sealed is not None
            )
        except PermissionError:
            return None
        return Endpoint(url, tuple(secrets))

    async def forget_left(self) -> int:
        """Forgets addresses that belong to no webhook; how many."""
        async with self.pools.projector.connection() as connection:
            return (await connection.execute(FORGET, [LEFT])).rowcount

    async def sealed(self, organisation: str, webhook_id: UUID, what: str, text: str) -> bytes:
        """What only the organisation's key opens, at this place alone."""
        key = await self.people.organisation_key(organisation)
        return seal(key, text.encode(), context(webhook_id, what))

    async def write(self, organisation: str, query: str, values: list[Any]) -> None:
        """Runs a statement of ours as a writer of this organisation; each may be done twice."""

        async def run() -> None:
            async with self.pools.writing(organisation) as connection:
                await connection.execute(query.encode(), values)

        await again_when_cut_off(run)


def context(webhook_id: UUID, what: str) -> bytes:
    """What a sealed value is, and whose."""
    return webhook_id.bytes + what.encode()
