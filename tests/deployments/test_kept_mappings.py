"""Which key became which is answered for ever: as each deployment left it, whatever becomes of it and of its target."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.blobs.store import FolderBlobs
from adapters.databases.key_lines import pairs_of
from adapters.databases.postgresql import mapping
from adapters.databases.postgresql.target import PostgresTarget
from adapters.embedded.postgres import EmbeddedPostgres
from adapters.packages.sweeping import UNUSED, Sweeper
from application import mappings
from application.ports.mappings import LinesOf
from projections.registry import DATA_DEPLOYMENTS
from tests.deployments.conftest import SOLD, Shop, rows, run
from tests.fleet.test_bundles import served

pytestmark = pytest.mark.asyncio(loop_scope="session")
TAILS = ("?table=customers&limit=2", "?table=orders", "/download", "/download?format=csv&table=customers")


async def deployed(shop: Shop, package: str = "", **facts: Any) -> str:
    """The id of a deployment."""
    made = (await shop.deploy(package or await shop.pack(), **facts))["deployment"]
    assert made["warnings"] == []
    return str(made["id"])


async def told(shop: Shop, deployment: str, as_of: int | None = None) -> list[bytes]:
    """What is answered about its mapping, now or as of a position."""
    found = []
    for tail in TAILS:
        at = "" if as_of is None else f"{'&' if '?' in tail else '?'}as_of={as_of}"
        answered = await shop.answer("GET", f"/deployments/{deployment}/mappings{tail}{at}")
        if as_of is not None:
            assert [answered.headers[f"x-rollbook-{one}"] for one in ("position", "as-of")] == [str(as_of)] * 2
        found.append(answered.content)
    return found


async def position(shop: Shop, deployment: str) -> int:
    """How far the answer about a deployment reaches."""
    return int((await shop.answer("GET", f"/deployments/{deployment}")).headers["x-rollbook-position"])


async def refused(shop: Shop, deployment: str, status: int, **query: Any) -> str:
    """What both say who do not answer."""
    path, found = f"/deployments/{deployment}/mappings", {"table": "customers", **query}
    one = (await shop.ask("GET", path, status, params=found))["error"]
    assert (await shop.ask("GET", f"{path}/download", status, params=found))["error"] == one
    return str(one)


async def test_after_a_rollback_the_past_is_answered_byte_for_byte_as_before(shop: Shop) -> None:
    made = await deployed(shop)
    then = await position(shop, made)
    before = await told(shop, made, then)
    assert await told(shop, made) == before
    assert b'"count":3' in before[1]
    await shop.roll_back(made)
    assert await told(shop, made, then) == before
    assert "is rolled_back" in await refused(shop, made, 409)


async def test_a_later_deployment_changes_nothing_of_what_an_earlier_one_left(shop: Shop) -> None:
    package = await shop.pack()
    first = await deployed(shop, package)
    before = await told(shop, first)
    run(shop.staging, "delete from orders; delete from customers where name = 'Ann'")
    second = await deployed(shop, package)
    run(shop.source, "insert into customers (name) values ('Dee')")
    third = await deployed(shop, await shop.pack(version="2"))
    answers = [await told(shop, one) for one in (first, second, third)]
    assert answers[0] == before == await told(shop, first, await position(shop, third))
    assert len({one[-1] for one in answers}) == 3


async def test_what_was_kept_is_answered_though_its_environment_is_gone(shop: Shop) -> None:
    made = await deployed(shop)
    before = await told(shop, made)
    del shop.rollbook.app.environments.configured[shop.organisation, "staging"]
    assert await told(shop, made) == before == await told(shop, made, await position(shop, made))


async def test_before_it_was_deployed_it_had_no_mapping(shop: Shop) -> None:
    made = await deployed(shop)
    then, seen = await position(shop, made), "completed"
    while seen == "completed":
        then -= 1
        seen = (await shop.deployment(made, as_of=then))["status"]
    assert f"was {seen}" in await refused(shop, made, 409, as_of=then)
    assert "not found" in await refused(shop, made, 404, as_of=1)
    shop.organisation = f"not-{shop.organisation}"
    assert "not found" in await refused(shop, made, 404, as_of=then)


async def test_a_store_that_is_full_undoes_no_deployment(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await deployed_into_a_full_store(shop, await shop.pack(), monkeypatch)
    await is_there_without_its_mapping(shop, made, "The disk for the bytes of packages is full")


async def deployed_into_a_full_store(shop: Shop, package: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A deployment whose mapping could not be kept."""

    async def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(FolderBlobs, "keep", full)
        return (await shop.deploy(package))["deployment"]


async def is_there_without_its_mapping(shop: Shop, made: Any, *why: str) -> None:
    """It says so, and only the target is asked."""
    assert made["warnings"] in [[f"{mappings.LOST}: {one}"] for one in why]
    assert (made["status"], rows(shop.staging)) == ("completed", SOLD)
    logged = await shop.answer("GET", f"/jobs/{made['id']}/logs")
    assert mappings.LOST in logged.text
    assert b'"count":3' in (await told(shop, made["id"]))[1]
    assert "not kept" in await refused(shop, made["id"], 409, as_of=await position(shop, made["id"]))
    del shop.rollbook.app.environments.configured[shop.organisation, "staging"]
    await refused(shop, made["id"], 404)


@pytest.mark.parametrize("times", [1, 2])
async def test_who_is_called_off_while_the_mapping_is_kept_has_deployed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    began, real, left = asyncio.Event(), PostgresTarget.key_lines, [None] * times

    @asynccontextmanager
    async def slow(self: PostgresTarget, deployment_id: str) -> AsyncIterator[LinesOf]:
        if left:
            left.pop()
            began.set()
            await asyncio.Event().wait()
        async with real(self, deployment_id) as lines_of:
            yield lines_of

    package = await shop.pack()
    monkeypatch.setattr(PostgresTarget, "key_lines", slow)
    monkeypatch.setattr(mappings, "LAST_SECONDS", 8.0 if times == 1 else 0.01)
    asking = asyncio.create_task(shop.deploy(package))
    await asyncio.wait_for(began.wait(), 20)
    (job,) = (await shop.ask("GET", "/jobs?status=processing"))["jobs"]
    await shop.ask("POST", f"/jobs/{job['job_id']}/cancel", json={})
    made = (await asyncio.wait_for(asking, 20))["deployment"]
    if times == 2:
        await is_there_without_its_mapping(shop, made, "it took too long", "the job was called off")
    else:
        assert (made["status"], made["warnings"]) == ("completed", [])
        await told(shop, made["id"], await position(shop, made["id"]))


async def test_housekeeping_leaves_what_was_kept_and_who_lost_it_is_told_so(shop: Shop) -> None:
    made = await deployed(shop)
    blobs, before = shop.rollbook.app.packages.store, await told(shop, made)
    await Sweeper(shop.rollbook.app.pools, blobs).sweep(datetime.now(UTC) + UNUSED + timedelta(hours=1))
    assert await told(shop, made) == before
    row = (await shop.rollbook.app.views.select(shop.organisation, DATA_DEPLOYMENTS)).rows[0]
    assert row["kept"] not in str(await shop.deployment(made))
    await blobs.delete(row["kept"])
    assert "is gone" in await refused(shop, made, 404)


async def test_a_bundle_says_that_it_holds_none(
    shop: Shop, postgres: EmbeddedPostgres, template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = await shop.pack()
    kept = await deployed(shop, package)
    unkept = (await deployed_into_a_full_store(shop, package, monkeypatch))["id"]
    headers = {"X-Organisation": shop.organisation}
    bundle = await shop.rollbook.client.post("/v1/bundles", json={"from": "0"}, headers=headers)
    (tmp_path / "open").mkdir()
    async with served(bundle.content, postgres, template, tmp_path / "open") as client:
        for made, why in ((kept, "A bundle holds no mapping of keys"), (unkept, "A bundle leads to no environment")):
            for tail in TAILS:
                answered = await client.get(f"/api/deployments/{made}/mappings{tail}", headers=headers)
                assert (answered.status_code, why in answered.text) == (404, True), answered.text


async def test_lines_say_the_same_as_pairs_wherever_these_lie(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "PAGES_AT_ONCE", 2)
    made, target = (await deployed(shop)).removeprefix("deploy-"), PostgresTarget(shop.staging)
    ((part,),) = rows(shop.staging, "select part from rollbook_packages.parts where table_name = 'customers'")
    lineage = f"rollbook_packages.lineage_{part}"
    run(shop.staging, f"insert into {lineage} select 1, 1, 1, e'\n\"' || n, 'ü' || n from generate_series(1, 900) n")
    run(shop.staging, f"delete from {lineage} where right(source_key, 2) = '11'")
    told = [pair async for batch in target.keys(made, "customers") for pair in batch]
    async with target.key_lines(made) as lines_of:
        lines = [line async for lines in lines_of("customers") for line in lines]
    assert sorted(pair for line in lines for pair in pairs_of(line)) == told
    assert (told[0], len(told), len(lines) > 2) == (('\n"1', "ü1"), 894, True)
    run(shop.staging, f"delete from {lineage}")
    async with target.key_lines(made) as lines_of:
        assert [line async for line in lines_of("customers")] == []
