"""What authentication needs to know of Rollbook's own API tokens."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from application.caller import Role


@dataclass(frozen=True, slots=True)
class KnownToken:
    """A token that was issued and not revoked.

    `name` is what its owner called it, `owner` the login of who created it (personal). `scope` None is everything
    that the role may do; `expires_at` None is never, otherwise it carries an offset.
    """

    token_id: UUID
    organisation: str
    name: str
    role: Role
    owner: str
    scope: frozenset[str] | None = None
    expires_at: datetime | None = None


class TokenDirectory(Protocol):
    """Where the tokens are found; it holds their hashes only."""

    async def find(self, token_sha256: bytes) -> KnownToken | None:
        """The token with this SHA-256 digest (32 bytes); None when it is unknown or revoked."""
        ...
