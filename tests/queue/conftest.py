"""Words for the tests of the deployment queue."""

from typing import Any

import httpx2
import pytest

from tests.conftest import Running
from tests.sharing import own_organisation

ACME = {"X-Organisation": "acme"}


class Queue:
    """The queue as one organisation uses it; each call fails on a status that was not expected."""

    def __init__(self, client: httpx2.AsyncClient, organisation: str = "acme") -> None:
        self.client = client
        self.organisation = organisation
        self.headers = {"X-Organisation": organisation}

    async def ask(self, method: str, path: str, expect: int = 200, **facts: Any) -> Any:
        """The body of the answer."""
        headers = {**self.headers, **facts.pop("headers", {})}
        answer = await self.client.request(method, path, headers=headers, **facts)
        assert answer.status_code == expect, answer.text
        return answer.json() if answer.content else None

    async def create(self, version: str = "1", expect: int = 201, **fields: Any) -> Any:
        """A deployment for one lane."""
        body = {
            "name": "shop",
            "version": version,
            "provider": "gcp",
            "cloud_account_id": "account",
            "region": "eu",
            "environment": "production",
            "type": "k8s",
            **fields,
        }
        return await self.ask("POST", "/v1/deployments", expect, json=body)

    async def report(self, deployment: Any, status: str, expect: int = 200, **fields: Any) -> Any:
        """What has become of a deployment."""
        path = f"/v1/deployments/{deployment['id']}"
        return await self.ask("PATCH", path, expect, json={"status": status, **fields})

    async def show(self, deployment: Any) -> Any:
        """The deployment as it is now."""
        return await self.ask("GET", f"/v1/deployments/{deployment['id']}")

    async def live(self, version: str, **fields: Any) -> Any:
        """A deployment that is live."""
        return await self.report(await self.create(version, **fields), "deployed")

    async def claim(self, expect: int = 200, **fields: Any) -> Any:
        """The next deployment of the lane."""
        lane = {"name": "shop", "provider": "gcp", "cloud_account_id": "account", "region": "eu"}
        body = {"lanes": [lane], "runner": "runner-1", **fields}
        return await self.ask("POST", "/v1/deployments/claim", expect, json=body)


LANE = {"name": "shop", "provider": "gcp", "cloud_account_id": "account", "region": "eu"}


@pytest.fixture
def queue(quiet: Running) -> Queue:
    """The queue of an organisation of this test's own, in a Rollbook that others use too."""
    return Queue(quiet.client, own_organisation())
