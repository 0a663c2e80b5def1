"""The fleet at one moment: in each lane and environment what is live, runs, waits, is held and frozen."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.postgres.conditions import equals
from projections.registry import DEPLOYMENTS
from tests.conftest import Running
from tests.fleet.histories import Team
from tests.queue.conftest import Queue

pytestmark = pytest.mark.asyncio(loop_scope="session")
LANE = {"name": "shop", "provider": "gcp", "cloud_account_id": "account", "region": "eu"}


async def fleet(queue: Queue, **query: Any) -> Any:
    return await queue.ask("GET", "/v1/fleet", params=query)


async def standing(queue: Queue, environment: str = "production", **query: Any) -> Any:
    """How the only lane stands."""
    (lane,) = (await fleet(queue, **query))["lanes"]
    return next(one for one in lane["environments"] if one["environment"] == environment)


async def test_each_environment_of_a_lane_stands_for_itself(queue: Queue) -> None:
    await queue.live("1")
    await queue.live("2", environment="staging")
    await queue.create("3", environment="staging")
    (lane,) = (await fleet(queue))["lanes"]
    told = [(one["environment"], one["live"]["version"], one["waiting_count"]) for one in lane["environments"]]
    assert told == [("production", "1", 0), ("staging", "2", 1)]
    assert {name: lane[name] for name in LANE} == LANE


async def test_what_it_was_is_what_it_is_said_to_have_been_for_ever(queue: Queue) -> None:
    team = Team(queue, 7)
    seen: dict[int, Any] = {}
    for _ in range(25):
        await team.live(1)
        now = await fleet(queue)
        seen[now["position"]] = now["lanes"]
    frozen = [[one.pop("frozen") for lane in lanes for one in lane["environments"]] for lanes in seen.values()]
    assert any(any(one) for one in frozen)
    for position, lanes in seen.items():
        then = (await fleet(queue, as_of=str(position)))["lanes"]
        for lane in then:
            for one in lane["environments"]:
                del one["frozen"]
        assert then == lanes, position


async def test_it_agrees_with_the_lists_of_deployments_and_lanes(queue: Queue, quiet: Running) -> None:
    team = Team(queue, 8)
    await team.live(50)
    for position in team.chance.sample(team.positions[1:], 10):
        now = await fleet(queue, as_of=str(position))
        lanes = {lane["id"]: lane for lane in await queue.ask("GET", "/v1/lanes", params={"as_of": str(position)})}
        page = await quiet.app.views.select(
            queue.organisation, DEPLOYMENTS, [equals("status", "scheduled")], as_of=position
        )
        assert sum(one["waiting_count"] for lane in now["lanes"] for one in lane["environments"]) == len(page.rows)
        for lane in now["lanes"]:
            listed = lanes.pop(lane["id"])
            assert lane["held"] == listed["held"]
            assert by_id(one for e in lane["environments"] for one in e["waiting"]) == {
                w["id"] for w in listed["waiting"]
            }
            running = by_id(one for e in lane["environments"] for one in e["in_progress"])
            assert running == by_id(listed["in_progress"])
            if listed["live"]:
                assert listed["live"] in [e["live"] for e in lane["environments"]]
        assert not lanes


def by_id(placed: Any) -> set[str]:
    return {one["deployment_id"] for one in placed}


async def test_a_freeze_covers_what_its_scope_names_until_its_time_is_up(queue: Queue) -> None:
    await queue.live("1")
    await queue.live("1", environment="staging")
    until = datetime.now(UTC) + timedelta(milliseconds=500)
    body = {"scope": {"environment": "production"}, "reason": "sale", "until": until.isoformat()}
    frozen = await queue.ask("POST", "/v1/freezes", 201, json=body)
    position = (await fleet(queue))["position"]
    assert (await standing(queue, as_of=str(position)))["frozen"] == [frozen["id"]]
    assert (await standing(queue, "staging", as_of=str(position)))["frozen"] == []
    (told,) = (await fleet(queue, as_of=str(position)))["freezes"]
    assert (told["reason"], told["by"]) == ("sale", frozen["by"])
    quiet_until = await after(queue, until)
    assert (await fleet(queue, as_of=quiet_until))["freezes"] == []
    found = await queue.ask("GET", "/v1/fleet/diff", params={"from": str(position), "to": quiet_until})
    assert [one["kind"] for one in found["freezes"]["changes"]] == ["ran_out"]
    assert [one["id"] for one in found["freezes"]["went"]] == [frozen["id"]]


async def after(queue: Queue, moment: datetime) -> str:
    """A moment after this one that the log knows to be past, though nothing happened since."""
    wanted = (moment + timedelta(milliseconds=1)).isoformat()
    for _ in range(1000):
        answer = await queue.client.get("/v1/fleet", params={"as_of": wanted}, headers=queue.headers)
        if answer.status_code == 200:
            return wanted
    raise AssertionError("time stands still")


async def test_of_a_long_queue_the_newest_are_shown_and_all_are_counted(queue: Queue) -> None:
    for number in range(23):
        await queue.create(str(number), auto=False)
    found = await standing(queue)
    assert [one["version"] for one in found["waiting"]] == [str(n) for n in range(22, 2, -1)]
    assert found["waiting_count"] == 23


async def test_filters_must_all_agree(queue: Queue) -> None:
    await queue.live("1")
    await queue.live("2", name="till", environment="staging")
    await queue.live("3", name="till", cell="a")
    wanted = [({"name": "till"}, 2), ({"environment": "production"}, 2), ({"name": "till", "cell": "a"}, 1)]
    wanted += [({"name": "shop", "environment": "staging"}, 0), ({"region": "us"}, 0), ({"provider": "gcp"}, 3)]
    for query, count in wanted:
        assert len((await fleet(queue, **query))["lanes"]) == count, query
    assert [
        e["environment"] for lane in (await fleet(queue, environment="staging"))["lanes"] for e in lane["environments"]
    ] == ["staging"]


async def test_pages_follow_each_other_as_of_one_position(queue: Queue) -> None:
    for name in ("a", "b", "c", "d", "e"):
        await queue.live("1", name=name)
    url: str | None = "/v1/fleet?limit=2"
    names = []
    while url:
        answer = await queue.client.get(url, headers=queue.headers)
        names += [lane["name"] for lane in answer.json()["lanes"]]
        url = answer.links.get("next", {}).get("url")
        await queue.live("2", name=f"new {len(names)}")
    assert names == ["e", "d", "c", "b", "a"]


@pytest.mark.parametrize("as_of", ["", "&as_of=-0s", "&as_of=production~0"])
async def test_pages_follow_each_other_as_of_one_moment(queue: Queue, as_of: str) -> None:
    for name in ("a", "b"):
        await queue.live("1", name=name)
    url: str | None = f"/v1/fleet?limit=1{as_of}"
    moments = []
    while url:
        answer = await queue.client.get(url, headers=queue.headers)
        moments.append(answer.json()["at"])
        url = answer.links.get("next", {}).get("url")
    assert (len(moments), len(set(moments))) == (3, 1), "freezes that were over on one page are over on all"


async def test_who_has_the_answer_already_is_told_so(queue: Queue) -> None:
    await queue.live("1")
    first = await queue.client.get("/v1/fleet", headers=queue.headers)
    again = await queue.client.get("/v1/fleet", headers={**queue.headers, "If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    await queue.live("2")
    later = await queue.client.get("/v1/fleet", headers={**queue.headers, "If-None-Match": first.headers["etag"]})
    assert later.status_code == 200
    assert later.headers["x-rollbook-position"] > first.headers["x-rollbook-position"]


async def test_what_others_record_changes_nothing_of_the_answer(queue: Queue, quiet: Running) -> None:
    await queue.live("1")
    first = await queue.client.get("/v1/fleet", headers=queue.headers)
    await Queue(quiet.client, f"{queue.organisation}-neighbour").live("1")
    again = await queue.client.get("/v1/fleet", headers=queue.headers)
    for name in ("etag", "x-rollbook-position"):
        assert again.headers[name] == first.headers[name]


async def test_an_organisation_without_deployments_has_an_empty_fleet(queue: Queue) -> None:
    found = await fleet(queue)
    assert (found["lanes"], found["freezes"], found["packages"]) == ([], [], [])


@pytest.mark.parametrize("query", ["as_of=", "as_of=soon", "as_of=9999999999", "limit=0", "cursor=x", "provider=ibm"])
async def test_what_means_nothing_is_refused(queue: Queue, query: str) -> None:
    answer = await queue.client.get(f"/v1/fleet?{query}", headers=queue.headers)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_correction_changes_what_was_true_and_not_what_was_said(queue: Queue) -> None:
    await queue.live("1")
    before = (await fleet(queue))["at"]
    second = await queue.live("2")
    then, position = (await fleet(queue))["at"], (await fleet(queue))["position"]
    really = {"went_live_at": before, "reason": "the clock of the runner was late"}
    await queue.ask("POST", f"/v1/deployments/{second['id']}/corrections", 201, json=really)
    assert (await standing(queue, as_of=before))["live"]["version"] == "1"
    assert (await standing(queue, valid_at=before))["live"]["version"] == "2"
    assert (await standing(queue, valid_at=before, as_of=str(position)))["live"]["version"] == "1"
    assert (await standing(queue, valid_at=then))["live"]["version"] == "2"
