"""The deployment queue keeps the contract that its users' clients rely on."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.queue.conftest import LANE, Queue
from tests.sharing import own_organisation

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEYS = frozenset(
    (
        *("id", "created_at", "updated_at", "organisation", "name", "version", "commit_sha", "pipeline_extra_params"),
        *("provider", "cloud_account_id", "region", "environment", "cell", "type", "status", "auto", "description"),
        *("notes", "trigger", "source_deployment_id", "rollback_from_deployment_id", "build_uri", "deployment_uri"),
        *("resource", "created_by_repo", "created_by_workflow", "created_by_actor"),
    )
)


async def test_a_created_deployment_is_scheduled_and_has_all_its_keys(queue: Queue) -> None:
    created = await queue.create()
    assert len(KEYS) == 27
    assert created.keys() >= KEYS
    assert (created["status"], created["auto"], created["trigger"]) == ("scheduled", True, "auto")
    assert created["updated_at"] == created["created_at"]
    assert datetime.fromisoformat(created["created_at"]).utcoffset() == timedelta(0)
    assert created["organisation"] == queue.organisation
    assert await queue.show(created) == created


async def test_a_manual_deployment_has_the_trigger_manual(queue: Queue) -> None:
    assert (await queue.create(auto=False))["trigger"] == "manual"


async def test_server_owned_and_unknown_members_are_ignored(queue: Queue) -> None:
    created = await queue.create(id="x", organisation="other", status="deployed", trigger="rollback", surprise=1)
    assert (created["status"], created["organisation"], created["trigger"]) == ("scheduled", queue.organisation, "auto")


async def test_account_and_region_may_be_left_out(queue: Queue) -> None:
    created = await queue.create(cloud_account_id=None, region=None)
    assert created["cloud_account_id"] is created["region"] is None


@pytest.mark.parametrize("missing", ["name", "version", "provider", "environment", "type"])
async def test_a_missing_member_is_named(queue: Queue, missing: str) -> None:
    body = {**LANE, "version": "1", "environment": "production", "type": "k8s"}
    del body[missing]
    refused = await queue.ask("POST", "/v1/deployments", 422, json=body)
    assert {"type": "missing", "loc": ["body", missing]}.items() <= refused["detail"][0].items()


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"provider": "moon"}, "enum"),
        ({"type": "x"}, "enum"),
        ({"auto": None}, "bool_type"),
        ({"version": 1}, "string_type"),
        ({"notes": "a\x00b"}, "string_unicode"),
    ],
)
async def test_a_wrong_value_is_a_422_that_names_it(queue: Queue, fields: dict[str, Any], kind: str) -> None:
    refused = await queue.create(expect=422, **fields)
    assert refused["detail"][0]["loc"] == ["body", next(iter(fields))]
    assert refused["detail"][0]["type"] == kind


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 5000, b'{"name": NaN}'])
async def test_a_body_that_is_no_object_is_a_422_list(queue: Queue, raw: bytes) -> None:
    answer = await queue.client.post("/v1/deployments", content=raw)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], list)
    assert answer.headers["x-error-code"] == "UNPROCESSABLE"
    assert len(answer.headers["x-trace-id"]) == 32


async def test_a_text_of_a_hundred_thousand_characters_is_fine(queue: Queue) -> None:
    created = await queue.create(pipeline_extra_params="x" * 100_000)
    assert len(created["pipeline_extra_params"]) == 100_000


async def test_an_event_beyond_the_limit_is_a_413_and_changes_nothing(queue: Queue) -> None:
    await queue.create(expect=413, **dict.fromkeys(("notes", "description", "resource"), "x" * 100000))
    assert await queue.ask("GET", "/v1/deployments") == []


async def test_a_body_beyond_the_limit_is_a_413(queue: Queue) -> None:
    await queue.create(expect=413, notes="x" * 3_000_000)


async def test_unknown_paths_and_methods_answer_in_the_same_shape(queue: Queue) -> None:
    assert await queue.ask("GET", "/v1/nothing", 404) == {"detail": "Not Found"}
    assert await queue.ask("PUT", "/v1/deployments", 405) == {"detail": "Method Not Allowed"}


async def test_the_list_is_newest_first_and_filters_exactly(queue: Queue) -> None:
    first, second = await queue.create("1"), await queue.create("2", name="Shop", cell="c1")
    assert [d["id"] for d in await queue.ask("GET", "/v1/deployments")] == [second["id"], first["id"]]
    assert [d["id"] for d in await queue.ask("GET", "/v1/deployments?name=shop")] == [first["id"]]
    assert [d["id"] for d in await queue.ask("GET", "/v1/deployments?cell=c1&name=")] == [second["id"]]
    assert [d["id"] for d in await queue.ask("GET", "/v1/deployments?cell_is_null=true")] == [first["id"]]
    assert len(await queue.ask("GET", "/v1/deployments?status=scheduled&status=deployed")) == 2
    assert await queue.ask("GET", "/v1/deployments?status=failed,skipped") == []
    assert await queue.ask("GET", "/v1/deployments?limit=0") == []


@pytest.mark.parametrize("query", ["limit=1001", "limit=-1", "limit=x", "status=x", "provider=x", "trigger=x"])
async def test_a_wrong_filter_is_a_422(queue: Queue, query: str) -> None:
    refused = await queue.ask("GET", f"/v1/deployments?{query}", 422)
    assert refused["detail"][0]["loc"] == ["query", query.split("=")[0]]


async def test_pages_follow_each_other_as_of_one_position(queue: Queue) -> None:
    made = [(await queue.create(str(n)))["id"] for n in range(5)]
    seen: list[str] = []
    path: str | None = "/v1/deployments?limit=2"
    while path:
        answer = await queue.client.get(path, headers=queue.headers)
        seen += [d["id"] for d in answer.json()]
        await queue.create("later")
        path = answer.headers["link"].split(";")[0].strip("<>") if "link" in answer.headers else None
    assert seen == made[::-1]


async def test_the_whole_number_is_counted_on_request(queue: Queue) -> None:
    for n in range(3):
        await queue.create(str(n))
    answer = await queue.client.get("/v1/deployments?limit=1", headers={**queue.headers, "Prefer": "count=exact"})
    assert answer.headers["x-total-count"] == "3"


async def test_notes_and_uri_change_and_are_cleared_by_null(queue: Queue) -> None:
    created = await queue.create()
    path = f"/v1/deployments/{created['id']}"
    changed = await queue.ask("PATCH", path, json={"notes": "n", "deployment_uri": "u"})
    assert (changed["notes"], changed["deployment_uri"], changed["status"]) == ("n", "u", "scheduled")
    assert changed["updated_at"] > created["updated_at"]
    cleared = await queue.ask("PATCH", path, json={"notes": None})
    assert (cleared["notes"], cleared["deployment_uri"]) == (None, "u")


async def test_an_unknown_deployment_is_a_404_before_an_empty_update_is_a_400(queue: Queue) -> None:
    created = await queue.create()
    assert await queue.ask("PATCH", "/v1/deployments/any%20string", 404, json={}) == {"detail": "Deployment not found"}
    path = f"/v1/deployments/{created['id']}"
    assert await queue.ask("PATCH", path, 400, json={"x": 1}) == {"detail": "No fields to update"}
    await queue.ask("PATCH", "/v1/deployments/any", 422, json={"status": None})


async def test_any_status_may_follow_any_other(queue: Queue) -> None:
    created = await queue.create()
    for status in ("deployed", "failed", "scheduled", "skipped", "in_progress", "rolled_back", "deployed"):
        assert (await queue.report(created, status))["status"] == status


async def test_going_live_skips_what_was_scheduled_before_in_the_same_lane_only(queue: Queue) -> None:
    old, manual = await queue.create("1"), await queue.create("2", auto=False, environment="staging")
    running = await queue.report(await queue.create("3"), "in_progress")
    elsewhere = await queue.create("1", cell="c")
    live = await queue.create("4")
    newer = await queue.create("5")
    await queue.report(live, "deployed")
    for skipped in (old, manual):
        now = await queue.show(skipped)
        assert (now["status"], now["skipped_by"]) == ("skipped", live["id"])
        assert now["skip_rule"]
    for kept, status in ((running, "in_progress"), (elsewhere, "scheduled"), (newer, "scheduled")):
        assert (await queue.show(kept))["status"] == status


async def test_a_lane_rolls_back_to_what_was_live_before(queue: Queue) -> None:
    first = await queue.live("1", description="d")
    second = await queue.live("2")
    back = await queue.ask("POST", "/v1/deployments/rollback", 201, params=LANE)
    assert (back["version"], back["trigger"], back["status"], back["auto"]) == ("1", "rollback", "scheduled", False)
    assert (back["source_deployment_id"], back["rollback_from_deployment_id"]) == (first["id"], second["id"])
    assert back["notes"] == f"Rollback from {second['id']} to version 1 (source: {first['id']})"
    assert back["description"] == "d"


async def test_a_rollback_without_a_past_says_so(queue: Queue) -> None:
    refused = await queue.ask("POST", "/v1/deployments/rollback", 404, params=LANE)
    assert refused == {"detail": "No previous deployment to rollback to"}
    await queue.live("1")
    refused = await queue.ask("POST", "/v1/deployments/rollback", 404, params={**LANE, "target_version": "9"})
    assert refused == {"detail": "No deployment found with version 9"}


async def test_a_deployment_is_replaced_at_once(queue: Queue) -> None:
    first, second = await queue.live("1"), await queue.live("2")
    back = await queue.ask("POST", f"/v1/deployments/{second['id']}/rollback", 201)
    assert (back["version"], back["status"]) == ("1", "in_progress")
    assert (await queue.show(second))["status"] == "rolled_back"
    refused = await queue.ask("POST", f"/v1/deployments/{first['id']}/rollback?target_version=7", 404)
    assert refused == {"detail": "No successful deployment found to rollback to"}


async def test_the_same_idempotency_key_answers_the_first_outcome_again(queue: Queue) -> None:
    body = {**LANE, "version": "1", "environment": "p", "type": "k8s"}
    key = {"Idempotency-Key": "k"}
    first = await queue.ask("POST", "/v1/deployments", 201, json=body, headers=key)
    await queue.report(first, "deployed")
    assert await queue.ask("POST", "/v1/deployments", 201, json=body, headers=key) == first
    await queue.ask("POST", "/v1/deployments", 422, json={**body, "version": "2"}, headers=key)
    assert len(await queue.ask("GET", "/v1/deployments")) == 1


async def test_an_if_match_that_names_another_version_is_a_412(queue: Queue) -> None:
    created = await queue.create()
    path = f"/v1/deployments/{created['id']}"
    await queue.ask("PATCH", path, json={"notes": "a"}, headers={"If-Match": '"1"'})
    await queue.ask("PATCH", path, 412, json={"notes": "b"}, headers={"If-Match": '"1"'})


async def test_the_past_answers_as_it_was(queue: Queue) -> None:
    created = await queue.create()
    then = (await queue.show(created))["position"]
    before = datetime.now(UTC)
    await queue.report(created, "deployed")
    path = f"/v1/deployments/{created['id']}"
    assert (await queue.ask("GET", f"{path}?as_of={then}"))["status"] == "scheduled"
    moment = before.isoformat().replace("+00:00", "Z")
    assert (await queue.ask("GET", f"/v1/deployments?as_of={moment}"))[0]["status"] == "scheduled"
    await queue.ask("GET", "/v1/deployments?as_of=2001-01-01T00:00:00Z", 400)
    assert await queue.ask("GET", "/v1/deployments?as_of=0") == []


@pytest.mark.parametrize("moment", ["", "yesterday", "2999-01-01T00:00:00Z", "2020-01-01T00:00:00", "99999999", "-1"])
async def test_a_past_that_is_none_is_refused(queue: Queue, moment: str) -> None:
    await queue.ask("GET", f"/v1/deployments?as_of={moment}", 400)


async def test_organisations_never_meet(queue: Queue) -> None:
    other = Queue(queue.client, own_organisation())
    mine = await queue.create()
    assert await other.ask("GET", "/v1/deployments") == []
    path = f"/v1/deployments/{mine['id']}"
    for method, tail, body in (
        ("GET", "", None),
        ("GET", "/history", None),
        ("PATCH", "", {"notes": "x"}),
        ("POST", "/rollback", None),
        ("POST", "/approve", {}),
        ("POST", "/heartbeat", {"fence": 1}),
    ):
        await other.ask(method, path + tail, 404, json=body)
    assert await other.ask("GET", "/v1/lanes") == []
    assert (await Queue(queue.client, queue.organisation.upper()).show(mine))["id"] == mine["id"]
