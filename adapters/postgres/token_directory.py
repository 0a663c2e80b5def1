"""Finds Rollbook's own tokens by their hash, in whichever organisation they were issued."""

from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from adapters.postgres.pools import Pools, again_when_cut_off
from adapters.postgres.tables import named
from application.caller import Role
from application.ports.identity import KnownToken
from projections.read_model import STILL, table
from projections.registry import TOKENS


class PostgresTokenDirectory:
    """Reads as the projector, since a hash says nothing of its organisation."""

    def __init__(self, pools: Pools) -> None:
        self.pools = pools

    async def find(self, token_sha256: bytes) -> KnownToken | None:
        """The token, or None when it is unknown or revoked."""

        async def read() -> Any:
            query = b"select organisation, document from " + named(table(TOKENS)).as_bytes()
            query += b" where sha256 = %s and to_position = %s"
            async with self.pools.projector.connection() as connection:
                return await (await connection.execute(query, [token_sha256.hex(), STILL])).fetchone()

        if (row := await again_when_cut_off(read)) is None:
            return None
        organisation, document = row
        return known(organisation, orjson.loads(document))


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
