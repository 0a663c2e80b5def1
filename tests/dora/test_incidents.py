"""Incidents and teams over HTTP: reported, linked, ended; what was known then is what is answered of then."""

from typing import Any

import pytest

from tests.dora.conftest import NOBODY, change, position, report
from tests.queue.conftest import Queue

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_incident_is_reported_linked_resolved_and_reopened(queue: Queue) -> None:
    bad, good = await queue.live("1"), await queue.live("2")
    made = await report(queue, reference="INC-7", deployments=[{"deployment_id": bad["id"]}])
    assert (made["title"], made["reference"], made["resolved"], made["ended_at"]) == (
        "Checkout is down",
        "INC-7",
        False,
        None,
    )
    assert made["reported_by"] == bad["created_by_actor"]
    assert [(d["deployment_id"], d["relation"]) for d in made["deployments"]] == [(bad["id"], "caused")]
    linked = await change(queue, made, "links", deployment_id=good["id"], relation="fixed")
    assert [(d["deployment_id"], d["relation"]) for d in linked["deployments"]] == [
        (bad["id"], "caused"),
        (good["id"], "fixed"),
    ]
    ended = await change(queue, made, "resolve", ended_at="2026-01-01T12:30:00Z")
    assert (ended["resolved"], ended["restore_seconds"]) == (True, 1800)
    again = await change(queue, made, "reopen", reason="It is back")
    assert (again["resolved"], again["ended_at"], again["restore_seconds"]) == (False, None, None)
    left = await change(queue, made, "unlink", deployment_id=bad["id"], relation="caused", reason="It was another")
    assert [d["deployment_id"] for d in left["deployments"]] == [good["id"]]
    assert await queue.ask("GET", f"/v1/incidents/{made['id']}") == left
    assert await queue.ask("GET", "/v1/incidents") == [left]


async def test_an_incident_ends_now_where_no_end_is_told(queue: Queue) -> None:
    ended = await change(queue, await report(queue), "resolve")
    assert ended["resolved"]
    assert ended["ended_at"] > "2026"


async def test_what_was_known_of_an_incident_is_answered_of_then(queue: Queue) -> None:
    made = await report(queue)
    before = await position(queue)
    shown = await queue.ask("GET", f"/v1/incidents/{made['id']}")
    await change(queue, made, "links", deployment_id=(await queue.live("1"))["id"])
    await change(queue, made, "resolve")
    then = {"as_of": before}
    assert await queue.ask("GET", f"/v1/incidents/{made['id']}", params=then) == shown
    assert await queue.ask("GET", "/v1/incidents", params=then) == [shown]
    assert await queue.ask("GET", "/v1/incidents", params={"resolved": "false"}) == []
    assert await queue.ask("GET", "/v1/incidents", params={"resolved": "false", **then}) == [shown]


async def test_the_same_key_reports_one_incident(queue: Queue) -> None:
    told = {"json": {"title": "Down", "began_at": "2026-01-01T12:00:00Z"}, "headers": {"Idempotency-Key": "one"}}
    first, second = [await queue.ask("POST", "/v1/incidents", 201, **told) for _ in range(2)]
    assert first == second
    assert len(await queue.ask("GET", "/v1/incidents")) == 1


async def test_pages_of_incidents_follow_each_other(queue: Queue) -> None:
    made = [(await report(queue, title=str(n)))["id"] for n in range(5)]
    found, url = [], "/v1/incidents?limit=2"
    while url:
        answer = await queue.client.get(url, headers=queue.headers)
        found += [one["id"] for one in answer.json()]
        url = answer.headers["link"].partition(">")[0][1:] if "link" in answer.headers else ""
    assert found == made[::-1]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"title": " "}, 422),
        ({"title": "x" * 1001}, 422),
        ({"began_at": "yesterday"}, 422),
        ({"began_at": "2026-01-01T00:00:00"}, 422),
        ({"began_at": "0001-01-01T00:00:00+14:00"}, 400),
        ({"began_at": "2900-01-01T00:00:00Z"}, 400),
        ({"deployments": [{"deployment_id": NOBODY}]}, 404),
        ({"deployments": [{"deployment_id": "'; drop table events"}]}, 404),
        ({"deployments": [{"deployment_id": NOBODY, "relation": "blessed"}]}, 422),
        ({"deployments": [{"deployment_id": NOBODY}] * 101}, 422),
    ],
)
async def test_a_report_that_makes_no_sense_is_a_problem_that_records_nothing(
    queue: Queue, body: dict[str, Any], status: int
) -> None:
    problem = await report(queue, status, **body)
    assert (problem["status"], problem["type"]) == (status, "about:blank")
    assert await queue.ask("GET", "/v1/incidents") == []


async def test_a_deployment_of_others_cannot_be_linked(queue: Queue) -> None:
    made = await report(queue)
    other = Queue(queue.client, f"{queue.organisation}-other")
    theirs = await other.live("1")
    assert (await change(queue, made, "links", 404, deployment_id=theirs["id"]))["detail"] == "Deployment not found"
    await change(other, made, "links", 404, deployment_id=theirs["id"])
    await other.ask("GET", f"/v1/incidents/{made['id']}", 404)


async def test_what_cannot_be_said_of_an_incident_is_refused(queue: Queue) -> None:
    made = await report(queue)
    live = await queue.live("1")
    await change(queue, made, "reopen", 409)
    await change(queue, made, "unlink", 404, deployment_id=live["id"], relation="caused")
    await change(queue, made, "resolve", 400, ended_at="2025-12-31T00:00:00Z")
    await change(queue, made, "resolve")
    await change(queue, made, "resolve", 409)
    await change(queue, {"id": NOBODY}, "resolve", 404)
    await change(queue, {"id": "nonsense"}, "resolve", 404)


async def test_linking_twice_is_linking_once(queue: Queue) -> None:
    made, live = await report(queue), await queue.live("1")
    first = await change(queue, made, "links", deployment_id=live["id"])
    assert await change(queue, made, "links", deployment_id=live["id"]) == first


async def test_teams_are_what_was_said_last_and_then_what_was_said_then(queue: Queue) -> None:
    assert await queue.ask("GET", "/v1/teams") == {"teams": {}}
    first = await queue.ask("PUT", "/v1/teams", json={"teams": {"web": ["shop", "till", "shop"]}})
    assert first == {"teams": {"web": ["shop", "till"]}}
    before = await position(queue)
    second = await queue.ask("PUT", "/v1/teams", json={"teams": {"web": ["shop"], "data": ["lake"]}})
    assert await queue.ask("GET", "/v1/teams") == second
    assert await queue.ask("GET", "/v1/teams", params={"as_of": before}) == first


@pytest.mark.parametrize(
    "teams", [{"": ["shop"]}, {"web": [""]}, {"web": "shop"}, {"web": ["x" * 201]}, {str(n): [] for n in range(201)}]
)
async def test_teams_that_make_no_sense_are_refused(queue: Queue, teams: Any) -> None:
    problem = await queue.ask("PUT", "/v1/teams", 422, json={"teams": teams})
    assert problem["status"] == 422
    assert await queue.ask("GET", "/v1/teams") == {"teams": {}}
