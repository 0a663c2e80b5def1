"""Issuing and revoking tokens of Rollbook's own."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from application.caller import Role
from application.execution import Work
from domain.errors import NotFound
from domain.token import Token


@dataclass(frozen=True, slots=True)
class IssueToken:
    """Make a token; the caller holds the secret, this its SHA-256 in hexadecimal."""

    name: str
    role: Role
    sha256: str
    scope: frozenset[str] | None = None
    expires_at: datetime | None = None
    token_id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True, slots=True)
class RevokeToken:
    """End a token."""

    token_id: str


async def issue_token(work: Work, command: IssueToken) -> str:
    """Answers the token's id, which is no secret."""
    token = Token.issue(
        command.token_id,
        work.now,
        organisation=work.organisation,
        name=command.name,
        role=command.role,
        scope=sorted(command.scope) if command.scope is not None else None,
        expires_at=command.expires_at.isoformat() if command.expires_at else None,
        sha256=command.sha256,
        owner=work.actor,
    )
    work.add(token)
    return str(token.id)


async def revoke_token(work: Work, command: RevokeToken) -> str:
    """Answers the token's id."""
    try:
        token = await work.load(Token, UUID(command.token_id))
    except ValueError:
        token = None
    if token is None:
        raise NotFound("Token not found")
    token.revoke(work.now)
    return str(token.id)
