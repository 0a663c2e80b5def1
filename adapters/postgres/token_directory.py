"""Finds Rollbook's own tokens by their hash, in whichever organisation they were issued."""

import asyncio
from datetime import datetime
from time import monotonic
from typing import Any
from uuid import UUID

import orjson
from psycopg import sql

from adapters.postgres.pools import Pools, again_when_cut_off
from adapters.postgres.tables import named
from application.caller import Role
from application.ports.identity import KnownToken
from domain.errors import Unavailable
from projections.read_model import STILL, table
from projections.registry import TOKENS

POLL_SECONDS = 0.02
# So many events behind nobody searches for those of tokens among them.
FAR = 10_000
LOOK = """
select reached.far or exists (
         select from rollbook.events e
          where e.position > reached.position and e.stream_id >= 'token-' and e.stream_id < 'token.'
       ), token.organisation, token.document
  from (select position, rollbook.head() - position > %(far)s as far
          from (select coalesce(max(position), 0) as position
                  from rollbook_views.checkpoints where read_model = %(model)s) c) reached
  left join {} token on token.sha256 = %(sha256)s and token.to_position = %(still)s"""


class PostgresTokenDirectory:
    """Reads as the projector, since a hash says nothing of its organisation."""

    def __init__(self, pools: Pools, wait_ms: int = 2000) -> None:
        self.pools = pools
        self.wait_seconds = wait_ms / 1000

    async def find(self, token_sha256: bytes) -> KnownToken | None:
        """The token, or None when it is unknown or revoked; Unavailable while what was recorded of tokens is not seen.

        A read model that is being built would let in who was shut out, and shut out who was let in.
        """
        deadline = monotonic() + self.wait_seconds
        while True:
            behind, organisation, document = await again_when_cut_off(lambda: self.look(token_sha256))
            if not behind:
                return known(organisation, orjson.loads(document)) if document else None
            if monotonic() > deadline:
                raise Unavailable("Tokens cannot be looked up yet: their read model has not caught up")
            await asyncio.sleep(POLL_SECONDS)

    async def look(self, token_sha256: bytes) -> Any:
        """Whether the log may know more of tokens than the read model, and what that says of this one."""
        query = sql.SQL(LOOK).format(named(table(TOKENS)))
        values = {"model": table(TOKENS), "far": FAR, "sha256": token_sha256.hex(), "still": STILL}
        async with self.pools.projector.connection() as connection:
            return await (await connection.execute(query, values)).fetchone()


def known(organisation: str, token: dict[str, Any]) -> KnownToken | None:
    """The token as authentication sees it."""
    if token["revoked_at"]:
        return None
    return KnownToken(
        token_id=UUID(token["id"]),
        organisation=organisation,
        name=token["name"],
        role=Role(token["role"]),
        owner=token["owner"],
        scope=frozenset(token["scope"]) if token["scope"] is not None else None,
        expires_at=datetime.fromisoformat(token["expires_at"]) if token["expires_at"] else None,
    )
