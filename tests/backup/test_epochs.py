"""A restore under running processes: each notices, nothing of the older epoch is taken for the newer one's."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from adapters.postgres.backup import Backup
from domain.errors import Unavailable
from projections.read_model import table
from projections.registry import DEPLOYMENTS
from tests.backup.ground import OVER, Place, fill
from tests.conftest import Running, running_rollbook
from tests.faults.load import body
from tests.queue.conftest import ACME, Queue

ALL = "/v1/deployments?limit=1000"
VERSIONS = f"select * from rollbook_views.{table(DEPLOYMENTS)} order by key, from_position"


async def create_raw(client: httpx2.AsyncClient, n: int) -> httpx2.Response:
    return await client.post("/v1/deployments", json=body(n, str(n)), headers=ACME)


async def test_a_process_of_the_older_epoch_records_and_shows_nothing(
    rollbook: Running, home: Place, tmp_path: Path
) -> None:
    queue = Queue(rollbook.client)
    await fill(queue, 2)
    taken = await home.take(tmp_path / "b.zip")
    await fill(queue, 6)
    await home.restore(taken.path, OVER)
    before = home.truth()
    refused = await create_raw(rollbook.client, 7)
    assert refused.status_code == 503
    assert refused.json()["detail"] == "The store was restored from a backup; nothing was recorded"
    assert int(refused.headers["retry-after"]) >= 1
    with pytest.raises(Unavailable, match="restored from a backup"):
        await rollbook.app.views.select("acme", DEPLOYMENTS)
    assert home.truth()["events"] == before["events"]


async def test_what_the_older_epoch_handed_out_is_refused_clearly(
    rollbook: Running, home: Place, tmp_path: Path
) -> None:
    queue = Queue(rollbook.client)
    await fill(queue, 4)
    taken = await home.take(tmp_path / "b.zip")
    deployment = (await queue.ask("GET", ALL))[0]
    path = f"/v1/deployments/{deployment['id']}"
    page = await rollbook.client.get("/v1/deployments?limit=1", headers=ACME)
    etag = (await rollbook.client.get(path, headers=ACME)).headers["etag"]
    epoch = page.headers["x-rollbook-epoch"]
    async with restored(home, taken) as again:
        following = await again.client.get(page.links["next"]["url"], headers=ACME)
        assert (following.status_code, following.headers["x-error-code"]) == (400, "INVALID")
        assert "not one of this epoch" in following.json()["detail"]
        stale = await again.client.patch(path, json={"notes": "x"}, headers={**ACME, "If-Match": etag})
        assert (stale.status_code, stale.headers["x-error-code"]) == (412, "VERSION_MISMATCH")
        assert "not of this epoch" in stale.json()["detail"]
        past = await again.client.get("/v1/deployments?as_of=1", headers={**ACME, "X-Rollbook-Epoch": epoch})
        assert past.status_code == 400
        assert past.json()["detail"].startswith(f"This is epoch {again.app.identity[1]} of the store")


async def test_what_the_newer_epoch_hands_out_is_good(rollbook: Running, home: Place, tmp_path: Path) -> None:
    await fill(Queue(rollbook.client), 4)
    taken = await home.take(tmp_path / "b.zip")
    async with restored(home, taken) as again:
        page = await again.client.get("/v1/deployments?limit=1", headers=ACME)
        following = await again.client.get(page.links["next"]["url"], headers=ACME)
        assert following.status_code == 200
        path = f"/v1/deployments/{following.json()[0]['id']}"
        shown = await again.client.get(path, headers=ACME)
        epoch, etag = shown.headers["x-rollbook-epoch"], shown.headers["etag"]
        changed = await again.client.patch(path, json={"notes": "x"}, headers={**ACME, "If-Match": etag})
        assert changed.status_code == 200
        again_stale = await again.client.patch(path, json={"notes": "y"}, headers={**ACME, "If-Match": etag})
        assert again_stale.status_code == 412
        past = await again.client.get("/v1/deployments?as_of=1", headers={**ACME, "X-Rollbook-Epoch": epoch})
        assert past.status_code == 200


async def test_a_runner_of_the_older_epoch_has_lost_its_claim(rollbook: Running, home: Place, tmp_path: Path) -> None:
    queue = Queue(rollbook.client)
    deployment = await queue.create()
    taken = await home.take(tmp_path / "b.zip")
    older = (await queue.claim())["lease"]["fence"]
    async with restored(home, taken) as again:
        queue = Queue(again.client)
        newer = (await queue.claim())["lease"]["fence"]
        path = f"/v1/deployments/{deployment['id']}"
        await queue.ask("POST", f"{path}/heartbeat", 410, json={"fence": older})
        await queue.report(deployment, "deployed", 410, lease=older)
        await queue.ask("POST", f"{path}/heartbeat", json={"fence": newer})
        await queue.report(deployment, "deployed", lease=newer)


async def test_a_token_that_was_issued_since_opens_nothing(rollbook: Running, home: Place, tmp_path: Path) -> None:
    queue = Queue(rollbook.client)
    early = await issue(queue, "early")
    taken = await home.take(tmp_path / "b.zip")
    late = await issue(queue, "late")
    async with restored(home, taken, auth_enabled=True) as again:
        for token, status in ((early, 200), (late, 401)):
            answer = await again.client.get("/v1/deployments", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == status, answer.text


async def issue(queue: Queue, name: str) -> str:
    made = await queue.ask("POST", "/v1/tokens", 201, json={"name": name, "role": "viewer"})
    return str(made["token"])


async def test_read_models_are_made_anew_from_what_is_there_now(rollbook: Running, home: Place, tmp_path: Path) -> None:
    queue = Queue(rollbook.client)
    await fill(queue, 6)
    seen = await queue.ask("GET", ALL)
    then = home.rows(VERSIONS)
    taken = await home.take(tmp_path / "b.zip")
    await fill(queue, 20)
    async with restored(home, taken) as again:
        assert await Queue(again.client).ask("GET", ALL) == seen
        assert home.rows(VERSIONS) == then
        assert {e for (e,) in home.rows("select epoch from rollbook_views.checkpoints")} == {again.app.identity[1]}


class restored(running_rollbook):
    """Restores the backup over its store, and a Rollbook that started on it afterwards."""

    def __init__(self, home: Place, taken: Backup, **changes: Any) -> None:
        super().__init__(home.settings(**changes), home.database)
        self.home, self.taken = home, taken

    async def __aenter__(self) -> Running:
        await self.home.restore(self.taken.path, OVER)
        return await super().__aenter__()


async def test_restores_under_load_leave_every_process_whole(rollbook: Running, home: Place, tmp_path: Path) -> None:
    """Commands in flight are either in the backup's log or refused: what is answered 201 afterwards is there."""
    await fill(Queue(rollbook.client), 4)
    taken = await home.take(tmp_path / "b.zip")
    stop = asyncio.Event()
    answers: list[tuple[int, Any]] = []

    async def client(number: int) -> None:
        while not stop.is_set():
            answer = await create_raw(rollbook.client, number)
            answers.append((answer.status_code, answer.json()))

    clients = [asyncio.create_task(client(n)) for n in range(4)]
    for _ in range(2):
        await home.restore(taken.path, OVER)
    stop.set()
    await asyncio.gather(*clients)
    assert {status for status, _ in answers} <= {201, 503}
    assert 503 in {status for status, _ in answers}
    assert home.truth()["events"][-1][0] == taken.manifest.last_position
