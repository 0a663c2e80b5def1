"""The difference of two fleets: what it leads to, and what it tells of the time in between."""

from itertools import pairwise
from typing import Any

import pytest

from projections.fleet_diff import apply
from tests.fleet.histories import Team
from tests.queue.conftest import Queue

pytestmark = pytest.mark.asyncio(loop_scope="session")
EVERYTHING = {"scope": {}, "reason": "quarter's end"}


async def fleet(queue: Queue, **query: Any) -> Any:
    return await queue.ask("GET", "/v1/fleet", params=query)


async def difference(queue: Queue, since: Any, to: Any = None, **query: Any) -> Any:
    given = {"from": str(since)} | ({} if to is None else {"to": str(to)})
    return await queue.ask("GET", "/v1/fleet/diff", params=given | query)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_applying_a_difference_to_the_first_fleet_gives_the_second(queue: Queue, seed: int) -> None:
    team = Team(queue, seed)
    await team.live(60)
    chosen = [0, *team.chance.sample(team.positions, 12), team.positions[-1]]
    for since, to in (*pairwise(chosen), (chosen[0], chosen[-1])):
        where = team.chance.choice([{}, {}, {"name": "shop"}, {"environment": "staging"}])
        first, second = [await fleet(queue, as_of=str(one), **where) for one in (since, to)]
        found = await difference(queue, since, to, **where)
        assert apply(found, first) == second, (since, to, where)
        assert found["backwards"] is (since > to)
        assert found["complete"]


async def test_a_difference_back_undoes_the_difference_there(queue: Queue) -> None:
    team = Team(queue, 4)
    await team.live(30)
    first, last = team.positions[5], team.positions[-1]
    before = await fleet(queue, as_of=str(first))
    there, back = await difference(queue, first, last), await difference(queue, last, first)
    assert apply(back, apply(there, before)) == before
    assert [lane["changes"] for lane in there["lanes"]] == [lane["changes"] for lane in back["lanes"]]


async def test_a_difference_is_applied_to_no_other_fleet(queue: Queue) -> None:
    await queue.live("1")
    now = await fleet(queue)
    found = await difference(queue, 0, now["position"])
    with pytest.raises(ValueError, match="another fleet"):
        apply(found, now)


async def test_a_difference_tells_who_did_what_and_when_in_between(queue: Queue) -> None:
    await queue.live("1")
    since = (await fleet(queue))["position"]
    waiting = await queue.create("2")
    await queue.live("3")
    await queue.ask("POST", "/v1/freezes", 201, json=EVERYTHING)
    found = await difference(queue, since)
    (lane,) = found["lanes"]
    told = [(one["kind"], one["version"], one["actor"]) for one in lane["changes"]]
    somebody = lane["changes"][0]["actor"]
    assert somebody != "erased"
    assert told == [
        ("skipped", None, somebody),
        ("deployed", "3", somebody),
        ("scheduled", "3", somebody),
        ("scheduled", "2", somebody),
    ]
    skipped = {"deployment_id": waiting["id"], "version": "2", "environment": "production"}
    assert lane["changes"][0]["skipped"] == [skipped]
    assert lane["changes_total"] == 4
    assert lane["more"] is None
    (standing,) = lane["environments"]
    assert standing["before"]["live"]["version"] == "1"
    assert standing["after"]["live"]["version"] == "3"
    assert [one["version"] for one in standing["after"]["previous"]] == ["1"]
    (declared,) = found["freezes"]["changes"]
    assert (declared["kind"], declared["actor"], declared["reason"]) == ("declared", somebody, "quarter's end")
    assert standing["after"]["frozen"] == [declared["freeze_id"]]


async def test_what_is_again_as_it_was_is_told_of_with_what_happened(queue: Queue) -> None:
    await queue.live("1")
    since = (await fleet(queue))["position"]
    await queue.report(await queue.create("2"), "cancelled")
    (lane,) = (await difference(queue, since))["lanes"]
    assert lane["environments"] == []
    assert [one["kind"] for one in lane["changes"]] == ["cancelled", "scheduled"]


async def test_of_many_changes_the_newest_are_told_and_all_are_counted(queue: Queue) -> None:
    await queue.live("0")
    since = (await fleet(queue))["position"]
    for number in range(1, 13):
        await queue.live(str(number))
    found = await difference(queue, since)
    (lane,) = found["lanes"]
    assert len(lane["changes"]) == 20
    assert lane["changes"][0]["version"] == "12"
    assert lane["changes_total"] == 24
    assert lane["more"] == f"/v1/audit/events?lane={lane['id']}&from={since}&to={found['to']['position']}"


async def test_a_rollback_tells_its_hold_and_its_release_their_reasons(queue: Queue) -> None:
    await queue.live("1")
    await queue.live("2")
    since = (await fleet(queue))["position"]
    where = {"name": "shop", "provider": "gcp", "cloud_account_id": "account", "region": "eu"}
    await queue.ask("POST", "/v1/deployments/rollback", 201, params=where)
    held = (await fleet(queue))["position"]
    await queue.ask("POST", "/v1/lanes/release", json={**where, "reason": "fixed"})
    (lane,) = (await difference(queue, since, held))["lanes"]
    assert lane["held"]["before"] is None
    assert lane["held"]["after"]["version"] == "2"
    assert [(one["kind"], one["trigger"]) for one in lane["changes"]] == [("held", None), ("scheduled", "rollback")]
    (after,) = (await difference(queue, held))["lanes"]
    assert [(one["kind"], one["reason"]) for one in after["changes"]] == [("released", "fixed")]


@pytest.mark.parametrize("query", ["", "from=", "from=soon", "from=0&to=soon", "from=9999999999", "from=0&limit=0"])
async def test_what_names_no_moment_is_refused(queue: Queue, query: str) -> None:
    answer = await queue.client.get(f"/v1/fleet/diff?{query}", headers=queue.headers)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"
