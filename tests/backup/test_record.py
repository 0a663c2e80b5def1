"""What proves and tells the record is in a backup too: checkpoints, incidents, webhooks and what waits for them."""

from pathlib import Path
from typing import Any

from adapters.checkpoint_choosing import sealer_of
from adapters.checkpoint_exports import FileExport
from adapters.postgres.checkpoint_cursors import tell_in_order
from entrypoints.operator import Operator
from entrypoints.workers.webhook_following import WebhookFollowing
from tests.audit.conftest import Log
from tests.backup.conftest import MakePlace
from tests.backup.ground import OVER, Place
from tests.conftest import Running, running_rollbook
from tests.queue.conftest import Queue
from tests.time.conftest import position

# An address that may be subscribed; nobody delivers here.
ADDRESS = "https://8.8.8.8/hook"
SHOWN = ("/v1/incidents", "/v1/webhooks")
KEPT = ("webhook_endpoints", "webhook_progress", "webhook_followers", "webhook_deliveries")
SEALED = ("sealed_checkpoints", "checkpoint_heads", "organisation_erasures")


async def lived(rollbook: Running) -> Queue:
    """A webhook that waits, an incident that a deployment caused, an organisation that is forgotten; all sealed."""
    queue = Queue(rollbook.client)
    await queue.ask("POST", "/v1/webhooks", 201, json={"name": "pager", "url": ADDRESS, "filters": {}})
    broken = await queue.live("1")
    links = [{"deployment_id": broken["id"], "relation": "caused"}]
    report = {"title": "Checkout is down", "began_at": broken["created_at"], "deployments": links}
    await queue.ask("POST", "/v1/incidents", 201, json=report)
    await Queue(rollbook.client, "gone").live("1")
    await Operator(rollbook.app).erase_organisation("gone", "They left")
    following = WebhookFollowing(rollbook.app).queue
    while await following.advance() + await following.catch_up():
        pass
    await seal(rollbook)
    return queue


async def seal(rollbook: Running) -> str:
    """Everything that is recorded is sealed; answers the public key."""
    sealer = sealer_of(rollbook.app.settings, rollbook.app.pools)
    while await sealer.seal():
        pass
    return sealer.public_key


async def shown(queue: Queue) -> list[Any]:
    """What is answered of it."""
    return [await queue.ask("GET", path) for path in SHOWN]


async def test_webhooks_incidents_and_checkpoints_come_back_as_they_were(
    rollbook: Running, home: Place, elsewhere: MakePlace, tmp_path: Path
) -> None:
    queue = await lived(rollbook)
    before = await shown(queue)
    taken = await home.take(tmp_path / "b.zip", with_key=True)
    place = elsewhere()
    await place.restore(taken.path)
    assert place.truth() == home.truth()
    assert [name for name in (*KEPT, *SEALED) if not place.truth()[name]] == []
    assert {row[0] for row in place.rows("select state from rollbook.webhook_deliveries")} == {"waiting"}
    async with running_rollbook(place.settings(), place.database) as again:
        assert await shown(Queue(again.client)) == before
        await only_what_deliveries_are_is_known(Queue(again.client), before[1][0]["id"])


async def only_what_deliveries_are_is_known(queue: Queue, webhook: str) -> None:
    """What they were before the restore is in no backup, and is not made up."""
    path, then = f"/v1/webhooks/{webhook}/deliveries", await position(queue)
    assert "may be forgotten" in str(await queue.ask("GET", path, 400, params={"as_of": str(then)}))
    assert await queue.ask("GET", path, params={"as_of": "-0s"}) == await queue.ask("GET", path)


async def test_how_far_checkpoints_were_exported_is_not_in_it_and_each_place_is_told_all_anew(
    rollbook: Running, home: Place, tmp_path: Path
) -> None:
    await lived(rollbook)
    taken = await home.take(tmp_path / "b.zip", with_key=True)
    await Queue(rollbook.client).live("2")
    await seal(rollbook)
    export = FileExport(tmp_path / "checkpoints.ndjson")
    await tell_in_order(rollbook.app.pools, export)
    lost = len(export.path.read_text().splitlines())
    await home.restore(taken.path, OVER)
    assert home.rows("select * from rollbook.checkpoint_exports") == []
    async with running_rollbook(home.settings(), home.database) as again:
        await Queue(again.client).live("3")
        key = await seal(again)
        assert (await tell_in_order(again.app.pools, export)).left == 0
    ((number,),) = home.rows("select max(number) from rollbook.sealed_checkpoints")
    assert len(export.path.read_text().splitlines()) == lost + number
    code, said = Log(home.database.admin_url, export.path, key).verify()
    assert (code, "of a lost epoch" in said) == (0, True), said
