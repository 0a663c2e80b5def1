"""Random histories of a fleet: whatever teams, runners, approvers and operators do, in any order."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.queue.conftest import Queue

PLACES: list[dict[str, Any]] = [
    {"name": n, "environment": e} for n in ("shop", "till", "mail") for e in ("production", "staging")
]
ENDINGS = ("in_progress", "in_progress", "deployed", "deployed", "deployed", "failed", "cancelled", "rolled_back")
SCOPES: tuple[dict[str, str], ...] = (
    {},
    {"environment": "production"},
    {"name": "shop"},
    {"name": "till", "region": "eu"},
    {"cell": "none"},
)
ANY = (200, 201, 204, 400, 403, 404, 409, 423)


class Team:
    """Lives through a history; refusals are part of life."""

    def __init__(self, queue: Queue, seed: int) -> None:
        self.queue = queue
        self.chance = Random(seed)
        self.deployments: list[str] = []
        self.freezes: list[str] = []
        self.positions: list[int] = [0]

    async def live(self, steps: int) -> None:
        """So many things happen."""
        deeds = (self.schedule, self.schedule, self.report, self.report, self.roll_back, self.approve, self.freeze)
        for _ in range(steps):
            await self.chance.choice((*deeds, self.thaw, self.release))()
            answer = await self.queue.client.get("/v1/fleet", headers=self.queue.headers)
            self.positions.append(int(answer.headers["x-rollbook-position"]))

    async def send(self, path: str, body: dict[str, Any], method: str = "POST", **params: str) -> Any:
        """What comes of a request that may be refused."""
        answer = await self.queue.client.request(method, path, json=body, params=params, headers=self.queue.headers)
        assert answer.status_code in ANY, answer.text
        return answer.json() if answer.is_success and answer.content else {}

    async def schedule(self) -> None:
        """A deployment, by hand or not."""
        place, version = self.chance.choice(PLACES), str(len(self.deployments))
        made = await self.queue.create(version, auto=self.chance.random() < 0.6, **place)
        self.deployments.append(made["id"])

    async def report(self) -> None:
        """Something becomes of one of the last deployments."""
        if self.deployments:
            one = self.chance.choice(self.deployments[-8:])
            await self.send(f"/v1/deployments/{one}", {"status": self.chance.choice(ENDINGS)}, "PATCH")

    async def roll_back(self) -> None:
        """A lane goes back, which leaves a hold."""
        lane = {"name": self.chance.choice(("shop", "till")), "provider": "gcp", "cloud_account_id": "account"}
        await self.send("/v1/deployments/rollback", {}, **lane, region="eu", environment="production")

    async def approve(self) -> None:
        """Somebody says yes."""
        if self.deployments:
            await self.send(f"/v1/deployments/{self.deployments[-1]}/approve", {"reason": "looks fine"})

    async def freeze(self) -> None:
        """Nothing new starts, for a moment or until it is lifted."""
        until = (datetime.now(UTC) + timedelta(milliseconds=40)).isoformat() if self.chance.random() < 0.5 else None
        body = {"scope": self.chance.choice(SCOPES), "reason": "quarter's end", "until": until}
        if found := await self.send("/v1/freezes", body):
            self.freezes.append(found["id"])

    async def thaw(self) -> None:
        """One freeze ends before its time."""
        if self.freezes:
            await self.send(f"/v1/freezes/{self.chance.choice(self.freezes)}/lift", {"reason": "over"})

    async def release(self) -> None:
        """Automatic deployments go on."""
        lane = {"name": "shop", "provider": "gcp", "cloud_account_id": "account", "region": "eu"}
        await self.send("/v1/lanes/release", {**lane, "reason": "fixed"})
