"""An authentication with the world around it, as the tests of authentication knock at it."""

from dataclasses import dataclass, field
from typing import Any

from adapters.identity.github import GitHubTokens
from adapters.identity.oidc import OidcTokens, TrustedIssuer, github_actions
from adapters.identity.web import Web
from application.caller import Caller
from application.ports.identity import KnownToken
from entrypoints.http.authentication import Authentication
from tests.identity.providers import Clock, Providers, SigningKey

AUDIENCE = "deployment-queue-api"


@dataclass
class Entrance:
    """An authentication, the world around it, and short ways to knock."""

    providers: Providers
    clock: Clock
    key: SigningKey
    web: Web
    known_tokens: dict[bytes, KnownToken] = field(default_factory=dict)
    counted: list[tuple[str, bool]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    issuers: list[TrustedIssuer] = field(default_factory=list)
    built: list[Authentication] = field(default_factory=list)

    async def find(self, token_sha256: bytes) -> KnownToken | None:
        return self.known_tokens.get(token_sha256)

    @property
    def authentication(self) -> Authentication:
        if not self.built:
            self.built.append(self._build())
        return self.built[0]

    def _build(self) -> Authentication:
        issuers = [github_actions(self.providers.url, AUDIENCE), *self.issuers]
        chosen = {"enabled": True, "default_organisation": "local-dev", "allowed": (), **self.settings}
        return Authentication(
            oidc=OidcTokens(issuers, self.web, self.clock, keys_ttl=3600),
            github=GitHubTokens(self.providers.url, "2022-11-28", self.web, self.clock, membership_ttl=300),
            tokens=self,
            clock=self.clock,
            count=lambda method, success: self.counted.append((method, success)),
            **chosen,
        )

    async def knock(self, token: str | None = None, organisation: str | None = None) -> Caller:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        if organisation is not None:
            headers["x-organisation"] = organisation
        return await self.authentication.authenticate(headers)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """What GitHub writes into a token; a change to None leaves the claim out."""
        claims: dict[str, Any] = {
            "iss": self.providers.url,
            "aud": AUDIENCE,
            "iat": int(self.clock.now),
            "nbf": int(self.clock.now),
            "exp": int(self.clock.now) + 300,
            "sub": "repo:ACME/shop:ref:refs/heads/main",
            "repository": "ACME/shop",
            "repository_id": "71",
            "repository_owner": "ACME",
            "repository_owner_id": "42",
            "workflow": "Deploy",
            "actor": "octo",
            "ref": "refs/heads/main",
            "sha": "c0ffee",
            "run_id": "1234",
            "run_attempt": "2",
        }
        return {name: value for name, value in (claims | changes).items() if value is not None}

    def token(self, **changes: Any) -> str:
        return self.key.sign(self.claims(**changes))
