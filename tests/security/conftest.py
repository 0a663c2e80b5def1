"""A whole Rollbook with a GitHub and an issuer of its own, to be asked what it keeps of what it is told."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any

import httpx2
import pytest

from tests.conftest import open_folder
from tests.faults.instance import Instance
from tests.identity.entrance import AUDIENCE
from tests.identity.providers import Providers, SigningKey, serving
from tests.management.collector import Collector, otlp_receiver
from tests.security.places import said

ACME = "acme"
SHOP = {"name": "shop", "provider": "gcp", "cloud_account_id": "account", "region": "eu"}
RELEASE = {**SHOP, "version": "1", "environment": "production", "type": "k8s"}


@dataclass
class Town:
    """One Rollbook, those around it, and everything that it has answered."""

    instance: Instance
    providers: Providers
    collector: Collector
    key: SigningKey
    client: httpx2.AsyncClient
    answers: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """DATA_DIR."""
        return self.instance.folder

    def person(self, token: str, login: str) -> dict[str, str]:
        """Somebody with a personal access token, a member of acme."""
        self.providers.users[token] = {"login": login, "id": 7}
        self.providers.memberships[token] = [{"login": ACME, "id": 42}]
        return {"Authorization": f"Bearer {token}", "X-Organisation": ACME}

    def run(self, login: str, **changes: Any) -> dict[str, str]:
        """A run of GitHub Actions that somebody started."""
        claims = {
            **{"iss": self.providers.url, "aud": AUDIENCE, "exp": int(time()) + 600, "sub": f"repo:acme:{login}"},
            **{"repository": "acme/shop", "repository_owner": ACME, "repository_owner_id": "42"},
            **{"workflow": "Deploy", "actor": login, "email": f"{login}@example.com"},
        }
        return {"Authorization": f"Bearer {self.key.sign(claims | changes)}"}

    @property
    def settings(self) -> dict[str, str]:
        """What the instance is told."""
        return dict(self.instance.settings)

    async def operator(self, *arguments: str) -> str:
        """What a command on the machine itself answers."""
        code, answered, told = await said("operator", *arguments, **self.settings, DATA_DIR=str(self.folder))
        assert code == 0, told
        return answered.strip()

    async def ask(self, who: dict[str, str], method: str, path: str, body: Any = None, status: int = 0) -> Any:
        """The answer's value, noted; it must have this status, or any that is a success."""
        answer = await self.client.request(method, self.instance.url + path, headers=who, json=body)
        noted = f"{answer.headers!r}".encode() + answer.content
        self.answers.append((f"the answer {answer.status_code} to {method} {path.partition('?')[0]}", noted))
        right = answer.status_code == status if status else answer.is_success
        assert right, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Where traces go."""
    with otlp_receiver() as receiving:
        yield receiving


@pytest.fixture
async def town(collector: Collector) -> AsyncIterator[Town]:
    """Not started yet; nothing of it is left afterwards."""
    async with serving() as stage:
        key, providers = SigningKey("first"), stage.begin()
        providers.keys = [key.public_jwk()]
        with open_folder("town") as folder:
            settings = {
                "AUTH_ENABLED": "true",
                "GITHUB_API_URL": stage.url,
                "GITHUB_OIDC_ISSUER": stage.url,
                "LOG_LEVEL": "debug",
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            }
            instance = Instance(folder, settings=settings)
            async with httpx2.AsyncClient(timeout=30) as client:
                try:
                    yield Town(instance, providers, collector, key, client)
                finally:
                    if instance.process is not None:
                        await instance.kill_all()
