"""Who may no longer read is let go while the stream is open; everybody else reads on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from application.caller import Role
from domain.errors import Unavailable
from entrypoints.http import feed
from entrypoints.operator import Operator
from tests.conftest import Database, Running, running_rollbook, settings_for
from tests.feed.subscriber import deploy, listening

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(autouse=True)
def no_minute_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """The door is asked before each piece, instead of once a minute."""
    monkeypatch.setattr(feed, "LOOK_AGAIN_SECONDS", -1.0)


class Holder:
    """Somebody with a token."""

    def __init__(self, client: httpx2.AsyncClient, token: dict[str, Any]) -> None:
        self.client = client
        self.id, self.secret = token["id"], token["token"]

    async def revoke(self, other: "Holder") -> None:
        """The other's token is void, and the read model knows."""
        assert (await self.client.delete(f"/v1/tokens/{other.id}")).status_code == 200
        listed = {one["id"]: one["revoked_at"] for one in (await self.client.get("/v1/tokens")).json()}
        assert listed[other.id] and not listed[self.id]


@asynccontextmanager
async def holding(running: Running, role: Role) -> AsyncIterator[Holder]:
    """A client with a token of this role."""
    token = await Operator(running.app).issue_token("acme", role, role, None)
    headers = {"Authorization": f"Bearer {token['token']}"}
    async with httpx2.AsyncClient(base_url=running.url, headers=headers, timeout=30) as client:
        yield Holder(client, token)


@asynccontextmanager
async def guarded(database: Database, folder: Path) -> AsyncIterator[tuple[Running, Holder, Holder]]:
    """A Rollbook that asks who is there, one who administrates it, and one who reads."""
    async with (
        running_rollbook(settings_for(folder, auth_enabled=True), database) as running,
        holding(running, Role.ADMIN) as admin,
        holding(running, Role.VIEWER) as viewer,
    ):
        yield running, admin, viewer


async def test_a_revoked_token_ends_its_stream_before_the_next_event_and_no_other(
    database: Database, tmp_path: Path
) -> None:
    async with guarded(database, tmp_path) as (_, admin, viewer):
        wanted = {"topic": "deployment.*"}
        async with (
            listening(viewer.client, "acme", **wanted) as leaving,
            listening(admin.client, "acme", **wanted) as staying,
        ):
            await deploy(admin.client, "acme")
            first = await leaving.next()
            assert first.told["payload"]["release"]["version"] == "1"
            await admin.revoke(viewer)
            await deploy(admin.client, "acme", version="2")
            rest = await leaving.rest()
            assert [block for block in rest if block.event] == []
            assert rest[-1].comment.startswith("no longer allowed; resume after ")
            told = await staying.events(2)
            assert [one["payload"]["release"]["version"] for one in told] == ["1", "2"]
            assert first.told["position"] <= int(rest[-1].id) < told[1]["position"]


async def test_a_revoked_token_closes_its_websocket(database: Database, tmp_path: Path) -> None:
    async with guarded(database, tmp_path) as (running, admin, viewer):
        url = f"{running.url.replace('http', 'ws')}/v1/events/ws?topic=deployment.*"
        headers = {"Authorization": f"Bearer {viewer.secret}"}
        async with connect(url, additional_headers=headers, proxy=None) as socket:
            await admin.revoke(viewer)
            await deploy(admin.client, "acme")
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == feed.NOT_ALLOWED
            assert closed.value.rcvd.reason.startswith("no longer allowed; resume from=")


async def test_while_nobody_can_say_whether_somebody_may_read_they_read_on(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def silent(_: Any) -> Any:
        asked.append(1)
        raise Unavailable("The provider does not answer")

    async with (
        guarded(database, tmp_path) as (_, admin, viewer),
        listening(viewer.client, "acme", topic="deployment.*") as made,
    ):
        monkeypatch.setattr(feed, "authenticated", silent)
        await deploy(admin.client, "acme")
        assert (await made.next()).event == "deployment.scheduled"
        assert asked
