"""A team's first day, with authentication on: each request as the queue's guide shows it, from pipelines and people."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from application.caller import Role
from tests.conftest import Database
from tests.identity.providers import SigningKey, serving
from tests.identity.world import World, guarded, world
from tests.queue.test_contract import KEYS

ORG = "my-organisation"
SHA = "8f6c5d1d7c1f4d5c9a0b1e2f3a4b5c6d7e8f9a0b"
RUN = {
    "repository": f"{ORG}/user-service",
    "repository_id": "7",
    "workflow": "Deploy",
    "run_id": "99",
    "run_attempt": "1",
    "ref": "refs/heads/main",
    "sha": SHA,
}
JSON = {"Content-Type": "application/json"}
FIRST = {
    "name": "my-service",
    "version": SHA,
    "provider": "gcp",
    "cloud_account_id": "my-project",
    "region": "us-central1",
    "environment": "production",
    "type": "k8s",
}
PLACE = {
    "name": "user-service",
    "provider": "gcp",
    "cloud_account_id": "my-gcp-project",
    "region": "us-central1",
}
WHERE = "name=user-service&provider=gcp&cloud_account_id=my-gcp-project&region=us-central1"
BUILT = {
    **PLACE,
    "version": SHA,
    "commit_sha": SHA,
    "environment": "production",
    "type": "k8s",
    "build_uri": f"https://github.com/{ORG}/user-service/actions/runs/99",
}
HOTFIX = {
    **PLACE,
    "version": "2.1.0",
    "environment": "production",
    "type": "k8s",
    "auto": False,
    "description": "Manual deployment for hotfix",
}


@pytest.fixture
async def team(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    """Rollbook asking who is there, with stand-ins for GitHub and its issuer."""
    async with serving() as stage:
        providers = stage.begin()
        async with world(database, guarded(tmp_path, providers), providers, SigningKey("first")) as running:
            yield running


class Somebody:
    """A pipeline with its OIDC token, or a person with a token of theirs and X-Organisation."""

    def __init__(self, team: World, headers: dict[str, str]) -> None:
        self.client = team.rollbook.client
        self.headers = headers

    async def get(self, path: str, expect: int = 200) -> Any:
        answer = await self.client.get(path, headers=self.headers)
        assert answer.status_code == expect, answer.text
        return answer.json()

    async def post(self, path: str, body: Any = None, expect: int = 201) -> Any:
        sent = {} if body is None else {"json": body}
        answer = await self.client.post(path, headers=self.headers | (JSON if sent else {}), **sent)
        assert answer.status_code == expect, answer.text
        return answer.json()

    async def patch(self, path: str, body: Any, expect: int = 200) -> Any:
        answer = await self.client.patch(path, headers=self.headers | JSON, json=body)
        assert answer.status_code == expect, answer.text
        return answer.json()


def pipeline(team: World, **claims: Any) -> Somebody:
    """A run of the organisation's workflow."""
    return Somebody(team, team.action(ORG, **(RUN | claims)))


def person(team: World, login: str = "ann") -> Somebody:
    """A member of the organisation at a terminal."""
    return Somebody(team, team.person(ORG, 42, login))


async def test_a_pipeline_queues_and_reports_what_it_built(team: World) -> None:
    ci = pipeline(team)
    created = await ci.post("/v1/deployments", FIRST)
    assert created.keys() >= KEYS
    assert created == created | FIRST
    assert (created["status"], created["auto"], created["trigger"]) == ("scheduled", True, "auto")
    assert created["organisation"] == ORG
    assert (created["created_by_repo"], created["created_by_workflow"]) == (f"{ORG}/user-service", "Deploy")
    assert created["created_by_actor"] == "octo"
    built = await ci.post("/v1/deployments", BUILT)
    assert built == built | BUILT
    live = await ci.patch(f"/v1/deployments/{built['id']}", {"status": "deployed"})
    assert (live["status"], live["updated_at"] > built["updated_at"]) == ("deployed", True)
    told = await ci.get(f"/v1/deployments/{built['id']}/history")
    assert [e["topic"] for e in told["entries"]] == ["deployment.scheduled", "deployment.deployed"]
    ran = {"repository": f"{ORG}/user-service", "workflow": "Deploy", "run_id": "99", "run_attempt": "1"}
    for entry in told["entries"]:
        assert entry["run"] == {**ran, "sha": SHA, "ref": "refs/heads/main"}
        assert (entry["actor"], entry["interface"]) == ("octo", "queue")


async def test_a_person_lists_and_queues_by_hand(team: World) -> None:
    ci, ann = pipeline(team), person(team)
    built = await ci.post("/v1/deployments", BUILT)
    await ci.patch(f"/v1/deployments/{(await ci.post('/v1/deployments', FIRST))['id']}", {"status": "deployed"})
    assert len(await ann.get("/v1/deployments")) == 2
    assert [d["id"] for d in await ann.get("/v1/deployments?status=scheduled")] == [built["id"]]
    listed = await ann.get(f"/v1/deployments?{WHERE}&environment=production")
    assert [d["id"] for d in listed] == [built["id"]]
    manual = await ann.post("/v1/deployments", HOTFIX)
    assert manual == manual | HOTFIX
    assert (manual["trigger"], manual["created_by_actor"]) == ("manual", "ann")
    assert (manual["created_by_repo"], manual["created_by_workflow"]) == (f"{ORG}/cli", "cli")


async def test_what_goes_live_skips_what_waited_before_it_and_a_failure_is_told(team: World) -> None:
    ci, ann = pipeline(team), person(team)
    waited, manual = await ci.post("/v1/deployments", BUILT), await ann.post("/v1/deployments", HOTFIX)
    await ann.patch(f"/v1/deployments/{manual['id']}", {"status": "deployed"})
    (skipped,) = await ann.get("/v1/deployments?status=skipped")
    assert (skipped["id"], skipped["skipped_by"]) == (waited["id"], manual["id"])
    tried = await ci.post("/v1/deployments", BUILT)
    said = {"status": "failed", "notes": "Database migration failed"}
    assert (await ann.patch(f"/v1/deployments/{tried['id']}", said)) | said == await ann.get(
        f"/v1/deployments/{tried['id']}"
    )


async def test_a_person_rolls_back_to_the_version_before_or_to_a_named_one(team: World) -> None:
    ann, live = person(team), {}
    for version in ("1.9.5", "2.0.0", "2.1.0"):
        made = await ann.post("/v1/deployments", {**HOTFIX, "version": version, "notes": version})
        live[version] = await ann.patch(f"/v1/deployments/{made['id']}", {"status": "deployed", "deployment_uri": "u"})
    for target, version in (("", "2.0.0"), ("&target_version=1.9.5", "1.9.5")):
        back = await ann.post(f"/v1/deployments/rollback?{WHERE}{target}")
        source, current = live[version]["id"], live["2.1.0"]["id"]
        assert (back["status"], back["trigger"], back["auto"]) == ("scheduled", "rollback", False)
        assert (back["source_deployment_id"], back["rollback_from_deployment_id"]) == (source, current)
        assert back["notes"] == f"Rollback from {current} to version {version} (source: {source})"
        assert (back["version"], back["description"], back["deployment_uri"]) == (version, HOTFIX["description"], None)
        assert back["created_by_actor"] == "ann"
    replaced = await ann.post(f"/v1/deployments/{live['2.1.0']['id']}/rollback")
    assert (replaced["status"], replaced["version"]) == ("in_progress", "2.0.0")
    assert (await ann.get(f"/v1/deployments/{live['2.1.0']['id']}"))["status"] == "rolled_back"


async def test_who_is_not_of_the_organisation_sees_and_moves_nothing(team: World) -> None:
    mine = await pipeline(team).post("/v1/deployments", FIRST)
    stranger = Somebody(team, person(team, "eve").headers | {"X-Organisation": "elsewhere"})
    refused = await stranger.get("/v1/deployments", 403)
    assert refused == {"detail": "User 'eve' is not a member of organisation 'elsewhere'"}
    other = Somebody(team, team.action("elsewhere", repository_owner_id="77") | {"X-Organisation": ORG})
    assert await other.get("/v1/deployments") == []
    await other.patch(f"/v1/deployments/{mine['id']}", {"status": "failed"}, 404)
    nameless = Somebody(team, {"Authorization": person(team).headers["Authorization"]})
    refused = await nameless.get("/v1/deployments", 400)
    assert refused == {"detail": "X-Organisation header required for CLI authentication"}


@pytest.mark.parametrize("page", ["/docs", "/redoc", "/openapi.json"])
async def test_the_documents_are_open(team: World, page: str) -> None:
    assert (await team.rollbook.client.get(page)).status_code == 200


async def test_a_refusal_of_who_asks_comes_before_one_of_what_is_asked(team: World) -> None:
    client, path = team.rollbook.client, "/v1/deployments/unknown"
    ann = person(team).headers
    assert (await client.patch(path, content=b"[]")).status_code == 401
    assert (await client.patch(path, content=b"[]", headers=await team.own(Role.VIEWER, ORG))).status_code == 403
    assert (await client.patch(path, content=b'{"status": 1}', headers=ann)).status_code == 422
    assert (await client.patch(path, content=b"{}", headers=ann)).status_code == 404
    mine = await person(team).post("/v1/deployments", FIRST)
    assert (await client.patch(f"/v1/deployments/{mine['id']}", content=b"{}", headers=ann)).status_code == 400
