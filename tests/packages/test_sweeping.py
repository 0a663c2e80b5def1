"""Blobs that nothing refers to are forgotten in time; those of packages never are."""

from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from adapters.blobs.store import Blobs
from adapters.packages.files import write_json
from adapters.packages.sweeping import UNUSED, Sweeper
from entrypoints.workers.sweeping import ROUNDS_OF_BLOBS, Sweeping
from tests.conftest import Running
from tests.packages.conftest import pieces
from tests.packages.made import INFO, ROWS, packed, whole

ACME = {"x-organisation": "acme"}


@pytest.fixture
def later() -> datetime:
    """A moment at which everything of today is old."""
    return datetime.now(UTC) + UNUSED + timedelta(hours=1)


async def imported(rollbook: Running, elsewhere: Blobs, **facts: str) -> str:
    """The id of a package that came as a document."""
    document = await whole(write_json(await packed(elsewhere), INFO, elsewhere))
    headers = {**ACME, "content-type": "application/json"}
    answered = await rollbook.client.post("/api/packages/import", headers=headers, content=document)
    assert answered.status_code == 201, answered.text
    return str(answered.json()["package"]["id"])


async def rows_of(rollbook: Running, package: str) -> httpx2.Response:
    return await rollbook.client.get(f"/api/packages/{package}/data", headers=ACME, params={"table": "customers"})


async def test_only_what_nothing_refers_to_is_forgotten(rollbook: Running, store: Blobs, later: datetime) -> None:
    blobs = rollbook.app.packages.store
    package = await imported(rollbook, store)
    await rollbook.client.delete(f"/api/packages/{package}", headers=ACME)
    package = await imported(rollbook, store)
    orphan = await blobs.put(pieces(b"nobody's"))
    upload = await rollbook.app.uploads.begin("acme", 10, "")
    await rollbook.app.uploads.add("acme", upload.upload_id, 0, pieces(b"piece"))
    sweeper = Sweeper(rollbook.app.pools, blobs)

    assert await sweeper.sweep(datetime.now(UTC)) == 0
    assert await blobs.size(orphan.digest) is not None
    assert await sweeper.sweep(later) == 1
    assert await blobs.size(orphan.digest) is None
    assert len((await rows_of(rollbook, package)).json()["rows"]) == len(ROWS["customers"])
    assert (await rollbook.app.uploads.state("acme", upload.upload_id)).offset == 5

    await rollbook.app.uploads.drop("acme", upload.upload_id)
    assert await sweeper.sweep(later) == 1
    assert (await rows_of(rollbook, package)).status_code == 200


async def test_what_came_after_a_round_is_known_in_the_next(rollbook: Running, store: Blobs, later: datetime) -> None:
    blobs = rollbook.app.packages.store
    sweeper = Sweeper(rollbook.app.pools, blobs)
    await blobs.put(pieces(b"first"))
    assert await sweeper.sweep(later) == 1
    package = await imported(rollbook, store)
    await blobs.put(pieces(b"second"))
    assert await sweeper.sweep(later) == 1
    assert (await rows_of(rollbook, package)).status_code == 200


async def test_a_round_goes_through_everything(rollbook: Running, store: Blobs) -> None:
    package = await imported(rollbook, store)
    await Sweeping(rollbook.app).round(ROUNDS_OF_BLOBS)
    assert (await rows_of(rollbook, package)).status_code == 200
