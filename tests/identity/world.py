"""Rollbook with authentication on, GitHub and another issuer around it, and short ways to come in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from adapters.issuer_settings import OidcIssuer
from adapters.settings import Settings
from application.caller import Role
from domain.errors import Unavailable
from entrypoints.operator import Operator
from tests.conftest import Database, Running, running_rollbook, settings_for
from tests.identity.entrance import AUDIENCE
from tests.identity.providers import Clock, Providers, SigningKey

LAB = "https://lab.example"
Answer = httpx2.Response


@dataclass
class World:
    """One Rollbook that asks who is there."""

    rollbook: Running
    providers: Providers
    key: SigningKey

    async def comes(self, headers: dict[str, str], path: str = "/v1/deployments") -> int:
        """The status with which somebody is answered."""
        return (await self.rollbook.client.get(path, headers=headers)).status_code

    def action(self, owner: str = "acme", **changes: Any) -> dict[str, str]:
        """A GitHub Actions run."""
        clock = Clock(self.now())
        claims = {
            "iss": self.providers.url,
            "aud": AUDIENCE,
            "iat": int(clock.now) - 5,
            "exp": int(clock.now) + 600,
            "repository": f"{owner}/shop",
            "repository_owner": owner,
            "repository_owner_id": "42",
            "workflow": "Deploy",
            "actor": "octo",
            **changes,
        }
        return bearer(self.key.sign({name: value for name, value in claims.items() if value is not None}))

    def lab(self, owner: str = "acme", **changes: Any) -> dict[str, str]:
        """A run of the other issuer, which knows no owner ids."""
        return self.action(owner, iss=LAB, aud="rollbook", repository_owner_id=None, **changes)

    def person(self, owner: str = "acme", owner_id: int = 42, login: str = "octo") -> dict[str, str]:
        """Somebody with a personal access token."""
        token = f"ghp_{login}{owner}{owner_id}"
        self.providers.users[token] = {"login": login, "id": 1}
        self.providers.memberships[token] = [{"login": owner, "id": owner_id}]
        return bearer(token) | {"X-Organisation": owner}

    async def own(self, role: Role, owner: str = "acme") -> dict[str, str]:
        """A token of Rollbook's own."""
        made = await Operator(self.rollbook.app).issue_token(owner, f"{role} of {owner}", role, None)
        return bearer(made["token"])

    def now(self) -> float:
        """The time by the clock that tokens are judged by."""
        return float(self.rollbook.app.authentication._clock())


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def guarded(tmp_path: Path, providers: Providers, organisations: frozenset[str] = frozenset()) -> Settings:
    """Settings with the stand-ins as GitHub and as another issuer."""
    lab = OidcIssuer(
        issuer=LAB, audience="rollbook", jwks_uri=f"{providers.url}/other/keys", organisations=organisations
    )
    return settings_for(
        tmp_path,
        auth_enabled=True,
        github_oidc_issuer=providers.url,
        github_api_url=providers.url,
        oidc_issuers=[lab],
    )


async def has_tables(rollbook: Running) -> bool:
    """Whether the projector has made the table that tokens are found in."""
    try:
        await rollbook.app.authentication._tokens.find(b"")
    except Unavailable:
        return False
    return True


@asynccontextmanager
async def world(database: Database, settings: Settings, providers: Providers, key: SigningKey) -> AsyncIterator[World]:
    """Starts it all."""
    providers.keys = [key.public_jwk()]
    async with running_rollbook(settings, database) as rollbook:
        async with asyncio.timeout(20):
            while not await has_tables(rollbook):
                await asyncio.sleep(0.01)
        yield World(rollbook, providers, key)
