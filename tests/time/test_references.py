"""A reference to the past means one position: that of a moment, or just before the last changes of what is live."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from tests.queue.conftest import Queue
from tests.sharing import own_organisation
from tests.time.conftest import live, position

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def meant(queue: Queue, ref: str, expect: int = 200) -> Any:
    """What the API says that a reference means."""
    return await queue.ask("GET", f"/v1/at?ref={quote(ref, safe='')}", expect)


async def versions(queue: Queue, count: int, **fields: Any) -> list[int]:
    """So many versions go live one after the other; the position after each."""
    ends = []
    for number in range(1, count + 1):
        await queue.live(str(number), **fields)
        ends.append(await position(queue))
    return ends


async def test_a_tilde_goes_back_so_many_changes(queue: Queue) -> None:
    await versions(queue, 4)
    assert await live(queue, as_of="production~0") == {"production": "4"}
    assert await live(queue, as_of="production~1") == {"production": "3"}
    assert await live(queue, as_of="shop~3") == {"production": "1"}
    assert await live(queue, as_of="shop/production~4") == {}
    told = await queue.ask("GET", "/v1/lanes/current?as_of=production~5", 400)
    assert told == {"detail": "as_of goes back more changes than there were"}


async def test_only_what_changes_what_is_live_there_counts(queue: Queue) -> None:
    first = await queue.live("1")
    await queue.live("1", environment="staging")
    second = await queue.live("2")
    waiting = await queue.create("3")
    await queue.report(second, "deployed")
    await queue.report(first, "rolled_back")
    await queue.report(waiting, "failed")
    assert (await meant(queue, "production~1"))["position"] < (await meant(queue, "production~0"))["position"]
    told = await queue.ask("GET", f"/v1/deployments/{second['id']}?as_of=production~1")
    assert told["status"] == "scheduled"
    assert (await queue.ask("GET", f"/v1/deployments/{first['id']}?as_of=production~2"))["status"] == "scheduled"
    await meant(queue, "production~3", 400)
    assert await meant(queue, "shop~3") == {**await meant(queue, "production~2"), **OF_SHOP}


OF_SHOP = {"ref": "shop~3", "component": "shop", "environment": None}


async def test_one_commit_is_one_change(queue: Queue) -> None:
    await queue.live("1")
    second = await queue.live("2")
    await queue.ask("POST", f"/v1/deployments/{second['id']}/rollback", 201)
    assert await live(queue) == {}
    assert await live(queue, as_of="production~1") == {"production": "2"}
    assert await live(queue, as_of="production~2") == {"production": "1"}


async def test_a_name_is_an_environment_before_it_is_a_component(queue: Queue) -> None:
    await queue.live("1", name="a/b", environment="c")
    await queue.live("2", name="a", environment="b/c")
    await queue.live("3", name="c", environment="d")
    for ref, component, environment in (
        ("c~1", None, "c"),
        ("a/b~1", "a/b", None),
        ("a~1", "a", None),
        ("d#1", None, "d"),
        ("c/d~1", "c", "d"),
    ):
        told = await meant(queue, ref)
        assert (told["component"], told["environment"]) == (component, environment), ref
    assert (await meant(queue, "a/b/c~1"))["component"] in ("a", "a/b")
    await meant(queue, "d/c~1", 400)
    await meant(queue, "a/d~1", 400)


async def test_braces_and_hashes_are_points_of_everything(queue: Queue) -> None:
    ends = await versions(queue, 3)
    recorded = (await meant(queue, str(ends[1])))["recorded_at"]
    for ref in (f"production#{ends[1]}", f"production@{{{ends[1]}}}", f"shop@{{{recorded}}}", recorded, str(ends[1])):
        told = await meant(queue, ref)
        assert (told["position"], told["recorded_at"]) == (ends[1], recorded), ref
        assert datetime.fromisoformat(told["moment"]) == datetime.fromisoformat(recorded)
    just_before = datetime.fromisoformat(recorded) - timedelta(microseconds=1)
    assert (await meant(queue, just_before.isoformat()))["position"] < ends[1]


async def test_so_long_ago_is_by_the_clock_of_the_log(queue: Queue) -> None:
    await queue.live("1")
    told = await meant(queue, "-0s")
    assert told["position"] >= await position(queue)
    assert datetime.fromisoformat(told["moment"]) >= datetime.fromisoformat(told["recorded_at"])
    assert "before the first event" in (await meant(queue, "-52w", 400))["detail"]
    assert "before the first event" in (await meant(queue, "production@{-9999999w}", 400))["detail"]


async def test_nobody_learns_the_names_of_others(queue: Queue) -> None:
    await queue.live("1", name="secret", environment="hidden")
    other = Queue(queue.client, own_organisation())
    for ref in ("secret~1", "hidden~1", "secret/hidden~1", "hidden#1"):
        await meant(queue, ref)
        told = await meant(other, ref, 400)
        assert told == {"detail": "ref names neither an environment nor a component of this organisation"}


async def test_long_names_are_found_too(queue: Queue) -> None:
    name = "x" * 900
    await queue.live("1", name=name, environment=name[::-1] + "/y")
    assert (await meant(queue, f"{name}~1"))["component"] == name
    assert (await meant(queue, f"{name}/{name}/y~1"))["environment"] == f"{name}/y"
