"""A correction changes what was true, never what was said: who corrected what is listed, and nothing else moves."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.queue.conftest import Queue
from tests.sharing import own_organisation
from tests.time.conftest import correct, live, position

pytestmark = pytest.mark.asyncio(loop_scope="session")

NEW_YEAR = "2026-01-01T12:00:00Z"
HOUR = "2026-01-01T13:00:00Z"
IN_UTC = "2026-01-01T12:00:00.000000+00:00"


async def listed(queue: Queue, deployment: Any, **params: Any) -> Any:
    """The corrections of a deployment."""
    return await queue.ask("GET", f"/v1/deployments/{deployment['id']}/corrections", params=params)


async def test_a_correction_says_who_knew_better_and_what_was_believed_before(queue: Queue) -> None:
    deployment = await queue.live("1")
    told = await correct(queue, deployment, "2026-01-01T13:00:00+01:00")
    assert (told["went_live_at"], told["reason"]) == (IN_UTC, "The log of the cluster says so")
    again = await correct(queue, deployment, HOUR)
    assert again["believed_before"] == IN_UTC
    assert await listed(queue, deployment) == [told, again]
    assert await listed(queue, deployment, as_of=told["position"]) == [told]
    assert told["actor"] and told["recorded_at"] > told["believed_before"] > IN_UTC
    history = await queue.ask("GET", f"/v1/deployments/{deployment['id']}/history")
    assert history["entries"][-2]["summary"] == f"Corrected: went live at {IN_UTC}"
    assert history["entries"][-1]["reason"] == "The log of the cluster says so"


async def test_a_history_ends_where_it_is_asked_to(queue: Queue) -> None:
    deployment = await queue.create("1")
    then = await position(queue)
    await queue.report(deployment, "deployed")
    path = f"/v1/deployments/{deployment['id']}/history"
    entries = (await queue.ask("GET", f"{path}?as_of={then}"))["entries"]
    assert [entry["topic"] for entry in entries] == ["deployment.scheduled"]
    await queue.ask("GET", f"{path}?as_of={entries[0]['position'] - 2}", 404)


async def test_what_never_went_live_cannot_have_gone_live_earlier(queue: Queue) -> None:
    waiting = await queue.create("1")
    assert (await correct(queue, waiting, NEW_YEAR, 409))["detail"]
    assert await listed(queue, waiting) == []


async def test_what_makes_no_sense_is_refused(queue: Queue) -> None:
    deployment = await queue.live("1")
    soon = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    for went_live_at, expect in (
        *((soon, 400), ("9999-12-31T23:59:59-14:00", 400), ("0001-01-01T00:00:00+14:00", 400)),
        *(("2026-01-01T12:00:00", 422), ("yesterday", 422), ("production~1", 422), ("", 422)),
    ):
        assert (await correct(queue, deployment, went_live_at, expect))["detail"]
    path = f"/v1/deployments/{deployment['id']}/corrections"
    await queue.ask("POST", path, 422, json={"went_live_at": NEW_YEAR})
    await queue.ask("POST", path, 422, json={"went_live_at": NEW_YEAR, "reason": ""})
    await correct(queue, {"id": "nothing"}, NEW_YEAR, 404)
    await correct(Queue(queue.client, own_organisation()), deployment, NEW_YEAR, 404)
    assert await listed(queue, deployment) == []


async def test_a_repeated_correction_is_one(queue: Queue) -> None:
    deployment = await queue.live("1")
    key: Any = {"headers": {"Idempotency-Key": "once"}}
    told = await correct(queue, deployment, NEW_YEAR, **key)
    await correct(queue, deployment, HOUR)
    assert await correct(queue, deployment, NEW_YEAR, **key) == told
    assert len(await listed(queue, deployment)) == 2


async def test_valid_at_answers_by_what_is_known_and_as_of_by_what_was_believed(queue: Queue) -> None:
    old = await queue.live("1")
    await correct(queue, old, NEW_YEAR)
    new = await queue.live("2")
    before = await position(queue)
    assert await live(queue, valid_at=HOUR) == {"production": "1"}
    await correct(queue, new, HOUR)
    assert await live(queue, valid_at=HOUR) == {"production": "2"}
    assert await live(queue, valid_at="2026-01-01T12:59:59Z") == {"production": "1"}
    assert await live(queue, valid_at="2026-01-01T11:59:59Z") == {}
    assert await live(queue, valid_at=HOUR, as_of=before) == {"production": "1"}
    assert await live(queue, as_of=before) == {"production": "2"}
    assert await live(queue, valid_at="-0s") == await live(queue) == {"production": "2"}


async def test_valid_at_takes_references_and_no_future(queue: Queue) -> None:
    await queue.live("1")
    await queue.live("2")
    await queue.live("3", environment="staging")
    assert await live(queue, valid_at="staging~0") == {"production": "2", "staging": "3"}
    assert await live(queue, valid_at="production~1") == {"production": "1"}
    for impossible in ("2999-01-01T00:00:00Z", "99999999999", "nowhere~1", "production~9", "soon", ""):
        told = await queue.ask("GET", "/v1/lanes/current", 400, params={"valid_at": impossible})
        assert told["detail"].startswith("valid_at ")


async def test_pages_follow_each_other_at_one_moment(queue: Queue) -> None:
    for number in range(3):
        await queue.live(str(number), cell=f"c{number}")
    url = "/v1/lanes/current?limit=1&valid_at=-0s"
    found: list[str] = []
    while url and len(found) < 5:
        answer = await queue.client.get(url, headers=queue.headers)
        found += [one["version"] for one in answer.json()]
        await queue.live("new", cell=f"c{len(found) % 3}")
        url = answer.links.get("next", {}).get("url", "")
    assert found == ["2", "1", "0"]
