"""The queue's contract, member by member: what is sent comes back, what is wrong is told in the original's words."""

import asyncio
import re
from typing import Any

import pytest

from tests.queue.conftest import LANE, Queue
from tests.queue.test_contract import KEYS

pytestmark = pytest.mark.asyncio(loop_scope="session")

WHOLE = {
    "name": "shop",
    "version": "1.2.3",
    "commit_sha": "c0ffee",
    "pipeline_extra_params": '{ "a" : 1 }',
    "provider": "azure",
    "cloud_account_id": "account",
    "region": "eu-west-1",
    "environment": "staging",
    "cell": "c1",
    "type": "data_pipeline",
    "auto": False,
    "description": "what it is",
    "notes": "what to know",
    "build_uri": "https://ci.example/1",
    "deployment_uri": "https://shop.example",
    "resource": "projects/shop",
}
OURS = {
    "change_url": "https://git.example/1",
    "incident_id": "INC-1",
    "committed_at": "2026-01-02T03:04:05.678901+02:00",
}
MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{6}[+]00:00"
LEAST = {"name": "shop", "version": "1", "provider": "gcp", "environment": "production", "type": "terraform"}
AUDIT = {"created_by_workflow": "local-dev", "created_by_actor": "local-dev"}


def audit(queue: Queue) -> dict[str, str]:
    """Who created what somebody of the organisation asked for."""
    return AUDIT | {"created_by_repo": f"{queue.organisation}/local"}


async def test_every_member_comes_back_as_it_was_sent(queue: Queue) -> None:
    created = await queue.ask("POST", "/v1/deployments", 201, json=WHOLE | OURS)
    assert created == created | WHOLE | OURS
    assert await queue.show(created) == created
    assert await queue.ask("GET", "/v1/deployments") == [created]


async def test_what_was_not_sent_is_null_or_its_default(queue: Queue) -> None:
    created = await queue.ask("POST", "/v1/deployments", 201, json=LEAST)
    told = LEAST | audit(queue) | {"organisation": queue.organisation, "status": "scheduled", "auto": True}
    told["trigger"] = "auto"
    assert created == created | told
    assert {created[name] for name in KEYS - told.keys() - {"id", "created_at", "updated_at"}} == {None}
    assert created["created_at"] == created["updated_at"]
    assert re.fullmatch(MOMENT, created["created_at"])


async def test_every_provider_type_and_word_for_auto_is_taken(queue: Queue) -> None:
    for provider in ("gcp", "aws", "azure"):
        for kind in ("k8s", "terraform", "data_pipeline"):
            assert (await queue.create(provider=provider, type=kind))["provider"] == provider
    for word, meant in (("true", True), ("no", False), (0, False), (1, True), ("off", False)):
        assert (await queue.create(auto=word))["auto"] is meant


async def test_the_same_version_may_be_queued_twice_and_any_text_is_kept(queue: Queue) -> None:
    text = "\u00e9\u4e16\U0001f680 '\"\\ <b>%s</b>\n\t{}"
    first, second = await queue.create(text, notes=text), await queue.create(text, notes=text)
    assert first["id"] != second["id"]
    assert (second["version"], (await queue.show(second))["notes"]) == (text, text)


async def refusal(queue: Queue, method: str, path: str, **sent: Any) -> dict[str, Any]:
    """The one fault of a 422."""
    (fault,) = (await queue.ask(method, path, 422, **sent))["detail"]
    assert isinstance(fault, dict)
    return fault


async def test_refusals_are_told_word_for_word_as_the_original_tells_them(queue: Queue) -> None:
    path, body = "/v1/deployments", dict(LEAST)
    told: dict[str, Any]
    enum = {"expected": "'gcp', 'aws' or 'azure'"}
    told = {"type": "enum", "loc": ["body", "provider"], "msg": f"Input should be {enum['expected']}", "input": "moon"}
    assert await refusal(queue, "POST", path, json=body | {"provider": "moon"}) == told | {"ctx": enum}
    told = {"type": "string_type", "loc": ["body", "name"], "msg": "Input should be a valid string", "input": 1}
    assert await refusal(queue, "POST", path, json=body | {"name": 1}) == told
    fault = await refusal(queue, "POST", path, json=body | {"auto": "perhaps"})
    assert (fault["type"], fault["loc"], fault["input"]) == ("bool_parsing", ["body", "auto"], "perhaps")
    fault = await refusal(queue, "GET", f"{path}?limit=1001")
    told = {"type": "less_than_equal", "loc": ["query", "limit"], "input": "1001", "ctx": {"le": 1000}}
    assert fault == told | {"msg": "Input should be less than or equal to 1000"}
    assert (await refusal(queue, "GET", f"{path}?limit=x"))["type"] == "int_parsing"
    fault = await refusal(queue, "GET", f"{path}?status=done")
    assert (fault["type"], fault["loc"], fault["input"]) == ("enum", ["query", "status"], "done")
    del body["name"]
    fault = await refusal(queue, "POST", path, json=body)
    assert fault == {"type": "missing", "loc": ["body", "name"], "msg": "Field required", "input": body}


async def test_all_that_is_missing_is_told_at_once(queue: Queue) -> None:
    for body in ({}, {"environment": None}, {"environment": ""}):
        refused = await queue.ask("POST", "/v1/deployments", 422, json=body)
        assert {fault["loc"][1] for fault in refused["detail"]} == set(LEAST)
        assert all(fault["type"] == "missing" and fault["input"] == {} for fault in refused["detail"])


@pytest.mark.parametrize("missing", ["name", "provider"])
async def test_a_rollback_names_its_lane(queue: Queue, missing: str) -> None:
    query = {name: value for name, value in LANE.items() if name != missing}
    fault = await refusal(queue, "POST", "/v1/deployments/rollback", params=query)
    assert (fault["type"], fault["loc"]) == ("missing", ["query", missing])


async def test_a_rollback_copies_what_is_deployed_and_nothing_of_how_it_went(queue: Queue) -> None:
    sent = WHOLE | OURS
    for version in ("1", "2"):
        made = await queue.ask("POST", "/v1/deployments", 201, json=sent | {"version": version})
        await queue.report(made, "deployed")
    lane = {name: WHOLE[name] for name in ("name", "provider", "cloud_account_id", "region", "cell")}
    back = await queue.ask("POST", "/v1/deployments/rollback", 201, params=lane)
    copied = ("name", "commit_sha", "pipeline_extra_params", "provider", "cloud_account_id", "region", "environment")
    for name in (*copied, "cell", "type", "description", "build_uri", "resource"):
        assert back[name] == WHOLE[name], name
    assert back["deployment_uri"] is back["incident_id"] is back["change_url"] is None
    assert back["version"] == "1"
    assert back == back | audit(queue)


async def test_a_rollback_may_be_narrowed_to_an_environment_and_a_lane_without_a_cell(queue: Queue) -> None:
    staging, production = await queue.live("1", environment="staging"), await queue.live("2")
    await queue.live("3", cell="c")
    await queue.ask("POST", "/v1/deployments/rollback", 404, params={**LANE, "environment": "production"})
    back = await queue.ask("POST", "/v1/deployments/rollback", 201, params=LANE)
    assert (back["source_deployment_id"], back["environment"]) == (staging["id"], "staging")
    assert back["rollback_from_deployment_id"] == production["id"]
    await queue.ask("POST", "/v1/deployments/rollback", 404, params={**LANE, "cell": "c"})


async def test_two_who_report_on_one_deployment_or_lane_at_once_both_succeed(queue: Queue) -> None:
    made = [await queue.create(str(number)) for number in range(6)]
    told = await asyncio.gather(
        *(queue.report(one, "deployed") for one in made), *(queue.report(made[0], "failed") for _ in range(4))
    )
    assert len(told) == 10
    assert {(await queue.show(one))["status"] for one in made[1:]} == {"deployed"}


async def test_everybody_sees_their_writes_at_once_in_every_answer(queue: Queue) -> None:
    for number in range(10):
        made = await queue.create(str(number))
        assert (await queue.ask("GET", "/v1/deployments?limit=1"))[0] == made
        failed = await queue.report(made, "failed")
        assert await queue.ask("GET", f"/v1/deployments?status=failed&name=shop&limit={number + 1}") != []
        assert await queue.show(made) == failed


async def test_unknown_paths_methods_and_empty_updates_answer_in_words(queue: Queue) -> None:
    wrong = await queue.client.delete("/v1/deployments", headers=queue.headers)
    assert (wrong.status_code, wrong.json(), wrong.headers["allow"]) == (
        405,
        {"detail": "Method Not Allowed"},
        "GET, POST",
    )
    unknown = await queue.client.get("/v1/nothing", headers=queue.headers)
    assert (unknown.status_code, unknown.json()) == (404, {"detail": "Not Found"})
    for path in ("unknown", "00000000-0000-0000-0000-000000000000", "%20", "a" * 300):
        told = await queue.ask("PATCH", f"/v1/deployments/{path}", 404, json={"status": "deployed"})
        assert told == {"detail": "Deployment not found"}
        assert await queue.ask("POST", f"/v1/deployments/{path}/rollback", 404) == told
