"""Every list and every detail answers for any point of the past, whoever adds it; and says for ever what it said."""

import re
from typing import Any

import httpx2
import pytest

from entrypoints.http.requests import parameters_of
from entrypoints.http.routing import Route
from tests.conftest import Running
from tests.http.hostile import NOBODY, ROUTES, Siege, query_of
from tests.queue.conftest import Queue
from tests.time.conftest import correct, position

pytestmark = pytest.mark.asyncio(loop_scope="session")

EVER = {
    "/v1/at": "tells what a reference means now",
    "/v1/events": "is a live stream, which begins at any position",
    "/v1/fleet/diff": "takes two points of the past, `from` and `to`",
    "/v1/audit/exports/{export_id}/events": "is a file, fixed when it was asked for",
    "/api/jobs/{job_id}/logs": "is a live stream, whose bytes never change where they stand",
    "/api/jobs/{job_id}/file": "is a file, kept for a while",
}
READS = [route for route in ROUTES if route.method == "GET"]
OF_THE_PAST = [route for route in READS if route.query and "as_of" in route.query.model_fields]
MOMENTS = {"as_of", "valid_at", "from", "to", "ref"}
BESIDE = {"/v1/events": {"follow": "false"}, "/v1/fleet/diff": {"from": "0"}}
IMPOSSIBLE = (
    *("2999-01-01T00:00:00Z", "9" * 19, "9" * 40, "1970-01-01T00:00:00Z", "-9999999w", "nowhere~1", "nowhere#1"),
    *("nowhere@{1}", "tomorrow", "", "-1y", "2026-10-02", "2026-10-02T12:00:00", "x" * 1500, "~1", "' or 1=1 --"),
)


async def test_each_read_takes_as_of_or_says_why_not() -> None:
    past = {route.path for route in OF_THE_PAST}
    assert {route.path for route in READS} - past <= EVER.keys()
    assert not past & EVER.keys()
    assert len(OF_THE_PAST) > 15


async def test_who_asks_for_the_past_where_there_is_none_is_not_told_of_the_present(quiet: Running) -> None:
    siege = Siege(quiet)
    for route in READS:
        for name in ("as_of", "valid_at"):
            if route.query and name not in route.query.model_fields:
                await siege.refused(route, name, {400}, params={**query_of(route), name: "1"})
    assert siege.wrong == []


@pytest.mark.parametrize("route", OF_THE_PAST, ids=lambda route: route.path)
async def test_a_point_that_was_not_is_a_400_of_its_interface(quiet: Running, route: Route) -> None:
    await Queue(quiet.client).create()
    siege = Siege(quiet)
    for as_of in IMPOSSIBLE:
        await siege.refused(route, f"as_of={as_of[:30]}", {400}, params={**query_of(route), "as_of": as_of})
    assert siege.wrong == []


async def test_wherever_a_moment_is_asked_for_all_references_may_stand(queue: Queue) -> None:
    known, then = await much_happens(queue), await position(queue)
    await queue.live("2")
    places = [(route, name) for route in READS if route.query for name in MOMENTS & parameters_of(route.query).keys()]
    assert {name for _, name in places} == MOMENTS
    for route, name in places:
        for reference in ("production~1", "shop/production~2", f"production@{{{then}}}", f"shop#{then}"):
            answer = await at(queue, route, known, {**BESIDE.get(route.path, {}), name: reference})
            assert answer.status_code in (200, 404), (route.path, name, reference, answer.text)
        refused = await at(queue, route, known, {**BESIDE.get(route.path, {}), name: "nowhere~1"})
        assert (refused.status_code, f"{name} names neither" in refused.text) == (400, True), (
            route.path,
            refused.text,
        )


async def test_each_list_says_which_position_it_shows(queue: Queue) -> None:
    await queue.live("1")
    then = await position(queue)
    await queue.live("2")
    for route in (r for r in OF_THE_PAST if "{" not in r.path):
        asked = {**query_of(route), "as_of": f"production#{then}"}
        answer = await queue.client.get(route.path, params=asked, headers=queue.headers)
        assert answer.status_code == 200, answer.text
        told = (answer.headers["x-rollbook-position"], answer.headers["x-rollbook-as-of"])
        assert told == (str(then), str(then)), route.path


async def test_what_was_answered_once_is_answered_for_ever(queue: Queue) -> None:
    known = await much_happens(queue)
    then = await position(queue)
    before = {route.path: await asked(queue, route, known, then) for route in OF_THE_PAST}
    assert sum(answer.status_code == 200 for answer in before.values()) > 14
    await much_happens(queue)
    await correct(queue, {"id": known["deployment_id"]}, "2026-01-01T00:00:00Z")
    for route in OF_THE_PAST:
        after = await asked(queue, route, known, then)
        assert after.content == before[route.path].content, route.path
        assert after.headers["x-rollbook-as-of" if after.status_code == 200 else "x-error-code"]


async def asked(queue: Queue, route: Route, known: dict[str, str], then: int) -> httpx2.Response:
    """A route's answer at a position, about something that is known, if anything of its kind is."""
    return await at(queue, route, known, {**query_of(route), "as_of": str(then)})


async def at(queue: Queue, route: Route, known: dict[str, str], params: dict[str, str]) -> httpx2.Response:
    """A route's answer about something that is known, if anything of its kind is."""
    path = re.sub(r"\{(\w+)\}", lambda name: known.get(name[1], NOBODY), route.path)
    return await queue.client.get(path, params=params, headers=queue.headers)


async def much_happens(queue: Queue) -> dict[str, str]:
    """Something of most kinds; answers what there is to ask about."""
    first = await queue.live("1")
    await correct(queue, first, "2026-02-01T00:00:00Z")
    await queue.create("2")
    await queue.live("3", environment="staging", name="till")
    freeze = await queue.ask("POST", "/v1/freezes", 201, json={"scope": {"name": "till"}, "reason": "Stocktaking"})
    incident: dict[str, Any] = {"title": "Slow", "began_at": "2026-01-01T00:00:00Z"}
    incident = await queue.ask("POST", "/v1/incidents", 201, json=incident)
    count = len(await queue.ask("GET", "/v1/freezes"))
    place = {"name": f"place-{count}", "kind": "postgresql", "dsn": "file:secret"}
    await queue.ask("POST", "/api/environments", 201, json=place)
    await queue.ask("PUT", "/v1/teams", json={"teams": {f"team-{count}": ["shop"]}})
    await queue.ask("PUT", "/v1/rules", json={"strict_transitions": False, "require_if_match": False})
    await queue.ask("POST", "/v1/tokens", 201, json={"name": f"token-{count}", "role": "viewer"})
    hook = await queue.ask("POST", "/v1/webhooks", 201, json={"name": "pager", "url": "https://8.8.8.8/"})
    kinds = {"deployment_id": first["id"], "lane_id": first["lane_id"], "environment": place["name"]}
    return {**kinds, "incident_id": incident["id"], "freeze_id": freeze["id"], "webhook_id": hook["id"]}
