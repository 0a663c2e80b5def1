"""Lists: every filter by itself and together, order, times, pages that stand still while the queue moves, numbers."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.queue.conftest import LANE, Queue

pytestmark = pytest.mark.asyncio(loop_scope="session")

ONE: dict[str, Any] = {
    "name": "a",
    "environment": "e1",
    "provider": "gcp",
    "cloud_account_id": "x",
    "region": "r1",
    "cell": "c1",
}
TWO: dict[str, Any] = {
    "name": "b",
    "environment": "e2",
    "provider": "aws",
    "cloud_account_id": "y",
    "region": "r2",
    "cell": "c2",
}


async def ids(queue: Queue, query: str) -> list[str]:
    """The ids of a list, in order."""
    return [one["id"] for one in await queue.ask("GET", f"/v1/deployments?{query}")]


async def test_every_filter_chooses_and_all_of_them_must_agree(queue: Queue) -> None:
    one, two = await queue.create(**ONE), await queue.create(**TWO, auto=False)
    await queue.report(two, "failed")
    for name in ONE:
        assert await ids(queue, f"{name}={ONE[name]}") == [one["id"]], name
        assert await ids(queue, f"{name}={TWO[name]}") == [two["id"]], name
    assert await ids(queue, "name=A") == await ids(queue, "cell=C1") == await ids(queue, "environment=e") == []
    together = "&".join(f"{name}={value}" for name, value in ONE.items())
    assert await ids(queue, together + "&status=scheduled&trigger=auto") == [one["id"]]
    assert await ids(queue, together + "&status=failed") == []
    assert await ids(queue, "trigger=manual") == await ids(queue, "status=failed") == [two["id"]]
    assert await ids(queue, "status=scheduled,failed") == await ids(queue, "unknown=1") == [two["id"], one["id"]]


async def test_every_status_is_a_filter(queue: Queue) -> None:
    made = await queue.create()
    for status in ("scheduled", "in_progress", "deployed", "skipped", "failed", "rolled_back", "cancelled"):
        await queue.report(made, status)
        assert await ids(queue, f"status={status}") == [made["id"]]


async def test_lists_hold_a_hundred_unless_told_otherwise(queue: Queue) -> None:
    for number in range(101):
        await queue.create(str(number))
    assert len(await queue.ask("GET", "/v1/deployments")) == 100
    assert len(await queue.ask("GET", "/v1/deployments?limit=1000")) == 101
    assert await queue.ask("GET", "/v1/deployments?limit=0") == []
    counted = await queue.client.get(
        "/v1/deployments?limit=0&name=shop", headers=queue.headers | {"Prefer": "count=exact"}
    )
    assert (counted.headers["x-total-count"], "link" in counted.headers) == ("101", False)
    assert "x-total-count" not in (await queue.client.get("/v1/deployments", headers=queue.headers)).headers


async def test_since_and_until_bound_the_creation_both_included(queue: Queue) -> None:
    made = [await queue.create(str(number)) for number in range(3)]
    at = [one["created_at"].replace("+00:00", "Z") for one in made]
    await queue.report(made[0], "deployed")
    assert await ids(queue, f"since={at[1]}") == [made[2]["id"], made[1]["id"]]
    assert await ids(queue, f"until={at[1]}") == [made[1]["id"], made[0]["id"]]
    assert await ids(queue, f"since={at[1]}&until={at[1]}") == [made[1]["id"]]
    assert await ids(queue, f"since={at[2]}&until={at[0]}") == []
    assert await ids(queue, "until=2999-01-01T00:00:00Z&since=0001-01-01T00:00:00Z&sort=created_at") == [
        one["id"] for one in made
    ]
    for wrong in ("since=yesterday", "until=2026-01-01T00:00:00", "since=1", "sort=name"):
        await queue.ask("GET", f"/v1/deployments?{wrong}", 422)


async def pages(queue: Queue, path: str, between: Any) -> list[str]:
    """The ids of all pages, with something happening between two of them."""
    seen, following = [], path
    for _ in range(20):
        answer = await queue.client.get(following, headers=queue.headers)
        assert answer.status_code == 200, answer.text
        seen += [one["id"] for one in answer.json()]
        if "link" not in answer.headers:
            return seen
        await between()
        following = answer.headers["link"].partition(">")[0].removeprefix("<")
    raise AssertionError("The pages never end")


async def test_pages_stand_still_while_deployments_come_and_change(queue: Queue) -> None:
    made = [await queue.create(str(number)) for number in range(7)]
    then = [one["id"] for one in made]

    async def stir() -> None:
        await queue.create("new")
        waiting = await queue.ask("GET", "/v1/deployments?status=scheduled&sort=created_at&limit=1")
        await queue.report(waiting[0], "failed")

    assert await pages(queue, "/v1/deployments?limit=2&status=scheduled", stir) == then[::-1]
    left = [one["id"] for one in await queue.ask("GET", "/v1/deployments?sort=created_at&limit=1000")]
    assert await pages(queue, "/v1/deployments?limit=3&sort=created_at", stir) == left
    past = made[2]["position"]
    assert await pages(queue, f"/v1/deployments?limit=1&as_of={past}", stir) == then[2::-1]


async def test_a_cursor_that_is_none_of_ours_is_refused(queue: Queue) -> None:
    await queue.create()
    for cursor in ("x", "1", "1-", "-1-2", "999999999-1", "1-2-3"):
        await queue.ask("GET", f"/v1/deployments?cursor={cursor}", 400)


async def test_lanes_are_filtered_paged_and_asked_of_the_past(queue: Queue) -> None:
    first, second = await queue.live("1", cell="a"), await queue.live("2", cell="b")
    then = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    third = await queue.live("3")
    assert await pages(queue, "/v1/lanes?limit=1", queue.create) == [one["lane_id"] for one in (third, second, first)]
    assert [lane["cell"] for lane in await queue.ask("GET", "/v1/lanes?cell=a")] == ["a"]
    assert [lane["cell"] for lane in await queue.ask("GET", "/v1/lanes?cell_is_null=true&name=shop")] == [None]
    assert await queue.ask("GET", "/v1/lanes?name=other") == []
    live = [one["id"] for one in await queue.ask("GET", "/v1/lanes/current")]
    assert sorted(live) == sorted(one["id"] for one in (first, second, third))
    assert len(await queue.ask("GET", f"/v1/lanes?as_of={then}")) == 2
    assert [one["id"] for one in await queue.ask("GET", f"/v1/lanes/current?cell=b&as_of={then}")] == [second["id"]]


async def test_a_lane_that_is_released_tells_what_waits_in_it(queue: Queue) -> None:
    await queue.live("1")
    await queue.live("2")
    back = await queue.ask("POST", "/v1/deployments/rollback", 201, params=LANE)
    released = await queue.ask("POST", "/v1/lanes/release", json=LANE)
    assert (released["held"], [one["id"] for one in released["waiting"]]) == (None, [back["id"]])
    await queue.ask("POST", "/v1/lanes/release", 404, json=LANE)
