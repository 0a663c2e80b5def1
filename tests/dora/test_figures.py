"""The figures over HTTP: what they say, that they are restated when more is known, and what may be asked."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.dora.conftest import change, dora, position, report
from tests.queue.conftest import LANE, Queue

pytestmark = pytest.mark.asyncio(loop_scope="session")
NOTHING = {"median_seconds": None, "p90_seconds": None}


def ago(**length: float) -> str:
    """A moment of the past."""
    return (datetime.now(UTC) - timedelta(**length)).isoformat()


async def rolled_back(queue: Queue, **fields: Any) -> tuple[Any, Any]:
    """A deployment that was taken back, and the one that took its place."""
    await queue.live("1", committed_at=ago(hours=2), **fields)
    bad = await queue.live("2", committed_at=ago(hours=1), **fields)
    back = await queue.ask("POST", f"/v1/deployments/{bad['id']}/rollback", 201)
    return bad, await queue.report(back, "deployed")


async def test_what_a_lane_went_back_from_has_failed_once_the_rollback_is_live(queue: Queue) -> None:
    await queue.live("1")
    await queue.live("2")
    back = await queue.ask("POST", "/v1/deployments/rollback", 201, params=LANE)
    before = (await dora(queue, begin="-7d"))["totals"]["change_failure_rate"]
    await queue.report(back, "deployed")
    after = (await dora(queue, begin="-7d"))["totals"]["change_failure_rate"]
    assert (before["failed"], before["deployments"]) == (0, 2)
    assert (after["failed"], after["taken_back"], after["deployments"]) == (1, 1, 3)


async def test_the_figures_say_what_they_are_made_of(queue: Queue) -> None:
    bad, back = await rolled_back(queue)
    fix = await queue.live("3", incident_id="INC-1")
    await queue.create("4")
    links = [{"deployment_id": bad["id"]}, {"deployment_id": back["id"], "relation": "fixed"}]
    began = datetime.now(UTC) - timedelta(hours=3)
    incident = await report(queue, began_at=began.isoformat(), deployments=links)
    await change(queue, incident, "resolve", ended_at=(began + timedelta(minutes=30)).isoformat())
    await report(queue, began_at=began.isoformat())
    assert fix["status"] == "deployed"
    told = (await dora(queue, begin="-7d"))["totals"]
    frequency, lead = told["deployment_frequency"], told["lead_time"]
    assert (frequency["deployments"], frequency["band"]) == (4, "high")
    assert frequency["per_day"] == pytest.approx(4 / 7, rel=1e-3)
    assert {name: lead[name] for name in ("changes", "measured", "without_commit_time", "committed_later")} == {
        "changes": 3,
        "measured": 2,
        "without_commit_time": 1,
        "committed_later": 0,
    }
    assert lead["median_seconds"] == pytest.approx(1.5 * 3600, abs=60)
    assert lead["p90_seconds"] == pytest.approx(1.9 * 3600, abs=60)
    assert told["change_failure_rate"] == {
        "failed": 1,
        "deployments": 4,
        "rate": 0.25,
        "taken_back": 1,
        "caused_incident": 1,
    }
    half_an_hour = {"median_seconds": 1800, "p90_seconds": 1800}
    assert told["time_to_restore"] == {"incidents": 2, "resolved": 1, "open": 1, **half_an_hour}
    assert told["failed_deployment_recovery_time"] == {"incidents": 1, "resolved": 1, "open": 0, **half_an_hour}
    assert told["rework_rate"] == {"rework": 2, "deployments": 4, "rate": 0.5}


async def test_what_is_linked_later_restates_the_past_and_what_was_known_then_stays(queue: Queue) -> None:
    live = await queue.live("1")
    asked: dict[str, Any] = {"begin": ago(days=10), "to": ago(seconds=0), "interval": "week"}
    first, known = await dora(queue, **asked), await position(queue)
    assert first["totals"]["change_failure_rate"]["rate"] == 0
    incident = await report(queue, began_at=ago(days=1))
    await change(queue, incident, "links", deployment_id=live["id"])
    second = await dora(queue, **asked)
    assert second["totals"]["change_failure_rate"]["rate"] == 1
    assert [part["change_failure_rate"]["failed"] for part in second["series"]][-1] == 1
    assert second["totals"]["failed_deployment_recovery_time"]["open"] == 1
    assert await dora(queue, **asked, as_of=known) == first
    await change(queue, incident, "unlink", deployment_id=live["id"])
    third = (await dora(queue, **asked))["totals"]
    assert third["change_failure_rate"] == first["totals"]["change_failure_rate"]
    assert (third["time_to_restore"]["incidents"], third["failed_deployment_recovery_time"]["incidents"]) == (1, 0)
    assert await dora(queue, **asked, as_of=known) == first


async def test_where_there_is_nothing_there_is_no_figure(queue: Queue) -> None:
    told = (await dora(queue))["totals"]
    frequency = told["deployment_frequency"]
    assert (frequency["deployments"], frequency["per_day"], frequency["band"]) == (0, 0, None)
    assert told["change_failure_rate"]["rate"] is told["rework_rate"]["rate"] is None
    for name in ("lead_time", "time_to_restore", "failed_deployment_recovery_time"):
        assert NOTHING.items() <= told[name].items()


async def test_a_commit_that_says_a_later_time_is_counted_and_not_measured(queue: Queue) -> None:
    await queue.live("1", committed_at="2999-01-01T00:00:00Z")
    lead = (await dora(queue))["totals"]["lead_time"]
    assert (lead["changes"], lead["measured"], lead["committed_later"]) == (1, 0, 1)
    assert NOTHING.items() <= lead.items()


@pytest.mark.parametrize(
    ("asked", "deployments", "incidents"),
    [
        ({}, 3, 2),
        ({"component": "shop"}, 1, 1),
        ({"component": "till"}, 2, 0),
        ({"environment": "staging"}, 1, 0),
        ({"component": "till", "environment": "production"}, 1, 0),
        ({"team": "web"}, 1, 1),
        ({"team": "both"}, 3, 1),
        ({"team": "nobody"}, 0, 0),
    ],
)
async def test_figures_are_of_a_component_an_environment_and_a_team(
    queue: Queue, asked: dict[str, Any], deployments: int, incidents: int
) -> None:
    shop = await queue.live("1")
    await queue.live("1", name="till")
    await queue.live("1", name="till", environment="staging")
    await report(queue, began_at=ago(days=1), deployments=[{"deployment_id": shop["id"]}])
    await report(queue, began_at=ago(days=1))
    teams = {"web": ["shop"], "both": ["shop", "till"], "nobody": []}
    await queue.ask("PUT", "/v1/teams", json={"teams": teams})
    told = (await dora(queue, **asked))["totals"]
    assert told["deployment_frequency"]["deployments"] == deployments
    assert told["time_to_restore"]["incidents"] == incidents


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"component": "shopp"}, "No deployment of this component is on record"),
        ({"environment": "prod"}, "No deployment of this environment is on record"),
        ({"component": "shop", "environment": "'; drop table events; --"}, "of this environment is"),
        ({"component": "x" * 5000}, "of this component is"),
    ],
)
async def test_a_name_that_nobody_ever_deployed_is_no_zero(queue: Queue, asked: dict[str, Any], words: str) -> None:
    await queue.live("1")
    assert words in (await dora(queue, 404, **asked))["detail"]


async def test_what_was_not_deployed_in_the_period_is_known_all_the_same(queue: Queue) -> None:
    await queue.live("1", name="till", environment="staging")
    before = await position(queue)
    await queue.create("1")
    questions: list[dict[str, Any]] = [{"component": "shop"}, {"environment": "production"}]
    for asked in questions:
        told = await dora(queue, **asked)
        assert told["totals"]["deployment_frequency"]["deployments"] == 0
        await dora(queue, 404, **asked, as_of=before)


async def test_a_team_is_whom_it_was_known_to_be_then(queue: Queue) -> None:
    await queue.live("1")
    await queue.ask("PUT", "/v1/teams", json={"teams": {"web": ["shop"]}})
    known = await position(queue)
    await queue.ask("PUT", "/v1/teams", json={"teams": {"data": ["shop"]}})
    assert (await dora(queue, 404, team="web"))["detail"] == "There is no such team"
    told = await dora(queue, team="web", as_of=known)
    assert told["totals"]["deployment_frequency"]["deployments"] == 1


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"begin": "soon"}, 400, "from is no reference"),
        ({"to": "2026-01-01T00:00:00"}, 400, "to has no offset"),
        ({"to": "2999-01-01T00:00:00Z"}, 400, "future"),
        ({"begin": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, 400, "from must be before to"),
        ({"begin": "1900-01-01T00:00:00Z", "interval": "month"}, 400, "longer than 3660 days"),
        ({"begin": "0001-01-01T00:00:00+14:00", "interval": "month"}, 400, "longer than 3660 days"),
        ({"begin": "-500d"}, 400, "More than 400 intervals"),
        ({"time_zone": "Middle/Earth"}, 400, "time_zone is none that is known"),
        ({"time_zone": "Europe"}, 400, "time_zone is none that is known"),
        ({"time_zone": "../../etc/passwd"}, 422, "pattern"),
        ({"time_zone": "x" * 65}, 422, "at most 64"),
        ({"interval": "hour"}, 422, "day"),
        ({"as_of": "999999999999"}, 400, "does not exist yet"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused_in_clear_words(
    queue: Queue, asked: dict[str, Any], status: int, words: str
) -> None:
    problem = await dora(queue, status, **asked)
    assert problem["status"] == status
    assert words in str(problem)


async def test_a_period_ends_with_what_was_recorded_last_where_nobody_says_when(queue: Queue) -> None:
    await queue.live("1")
    questions: list[dict[str, Any]] = [{}, {"as_of": await position(queue)}, {"as_of": "production~0"}]
    for asked in questions:
        told = await dora(queue, **asked)
        assert told["totals"]["deployment_frequency"]["deployments"] == 1


async def test_parts_are_days_of_the_time_zone_and_add_up_to_the_whole(queue: Queue) -> None:
    for number in range(3):
        await queue.live(str(number))
    told = await dora(queue, begin="-9d", time_zone="Asia/Kolkata")
    bounds = [part["from"] for part in told["series"]] + [told["series"][-1]["to"]]
    assert {bound[11:19] for bound in bounds[1:-1]} == {"18:30:00"}
    assert [part["to"] for part in told["series"]] == bounds[1:]
    assert (bounds[0], bounds[-1]) == (told["from"], told["to"])
    assert sum(part["deployment_frequency"]["deployments"] for part in told["series"]) == 3
    assert told["series"][-1]["deployment_frequency"]["deployments"] == 3
    days = [part["deployment_frequency"]["days"] for part in told["series"]]
    assert sum(days) == pytest.approx(told["totals"]["deployment_frequency"]["days"])


async def test_the_answer_names_the_position_that_it_shows(queue: Queue) -> None:
    await queue.live("1")
    known = await position(queue)
    answers = [
        await queue.client.get("/v1/metrics/dora", params=asked, headers=queue.headers)
        for asked in ({}, {"as_of": known})
    ]
    assert {answer.headers["x-rollbook-position"] for answer in answers} == {known}
    assert ["x-rollbook-as-of" in answer.headers for answer in answers] == [False, True]


async def test_before_the_first_event_there_is_no_period(queue: Queue) -> None:
    assert "there is no period" in (await dora(queue, 400, as_of=0))["detail"]
