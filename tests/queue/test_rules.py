"""An organisation's rules over time: what is in force, what was, and who may set what."""

from datetime import UTC, datetime

import pytest

from tests.conftest import Running
from tests.queue.conftest import LANE, Queue
from tests.sharing import own_organisation

pytestmark = pytest.mark.asyncio(loop_scope="session")

NONE = {"approval": [], "roles": [], "strict_transitions": False, "require_if_match": False}


async def test_without_rules_nothing_is_asked_for(queue: Queue) -> None:
    assert await queue.ask("GET", "/v1/rules") == NONE


async def test_rules_are_shown_as_they_were_at_any_position_or_moment(quiet: Running, queue: Queue) -> None:
    strict = await queue.ask("PUT", "/v1/rules", json={"strict_transitions": True})
    then, moment = await quiet.app.log.head(), datetime.now(UTC).isoformat().replace("+00:00", "Z")
    guarded = await queue.ask("PUT", "/v1/rules", json={"require_if_match": True})
    assert (strict, guarded) == (NONE | {"strict_transitions": True}, NONE | {"require_if_match": True})
    assert await queue.ask("GET", "/v1/rules") == guarded
    assert await queue.ask("GET", f"/v1/rules?as_of={then}") == strict
    assert await queue.ask("GET", f"/v1/rules?as_of={moment}") == strict
    assert await queue.ask("GET", "/v1/rules?as_of=0") == NONE
    await queue.ask("GET", "/v1/rules?as_of=99999999", 400)


async def test_a_past_rule_of_another_organisation_is_none_of_ours(quiet: Running, queue: Queue) -> None:
    await queue.ask("PUT", "/v1/rules", json={"strict_transitions": True})
    head = await quiet.app.log.head()
    assert await Queue(queue.client, own_organisation()).ask("GET", f"/v1/rules?as_of={head}") == NONE


async def test_a_decision_stands_by_the_rules_of_its_time(queue: Queue) -> None:
    await queue.ask("PUT", "/v1/rules", json={"approval": [{"scope": LANE}]})
    manual = await queue.create(auto=False)
    await queue.claim(expect=204)
    await queue.ask("PUT", "/v1/rules", json={})
    assert (await queue.claim())["id"] == manual["id"]


async def test_unknown_rules_are_refused_and_change_nothing(queue: Queue) -> None:
    await queue.ask("PUT", "/v1/rules", json={"strict_transitions": True})
    for wrong in ({"strict": True}, {"roles": [{"role": "king", "claims": {"a": "b"}}]}, {"approval": [{"who": "x"}]}):
        await queue.ask("PUT", "/v1/rules", 422, json=wrong)
    await queue.ask("PUT", "/v1/rules", 422, json={"roles": [{"role": "admin", "claims": {}}]})
    assert (await queue.ask("GET", "/v1/rules"))["strict_transitions"] is True
