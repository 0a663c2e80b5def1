"""What an event does not carry can never be asked of the past: every kind carries the whole envelope."""

import time
from base64 import b64decode
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from adapters.embedded.postgres import EmbeddedPostgres
from entrypoints.workers.housekeeping import Housekeeping
from tests.conftest import Running, fresh_database, running_rollbook, settings_for
from tests.contracts.test_events import LANDED
from tests.identity.providers import SigningKey, serving
from tests.kernel.chain import check_order, stored, verify
from tests.queue.conftest import LANE, Queue

TRACE = "0af7651916cd43dd8448eb211c80319c"
CLAIMS = {
    "aud": "deployment-queue-api",
    "repository": "ACME/shop",
    "repository_id": "71",
    "repository_owner": "ACME",
    "repository_owner_id": "42",
    "workflow": "Deploy",
    "ref": "refs/heads/main",
    "sha": "c0ffee",
    "run_id": "1234",
    "run_attempt": "2",
}
RULES = {
    "roles": [{"role": "admin", "claims": {"repository": "ACME/shop"}}],
    "approval": [{"scope": {"environment": "production"}}],
}
AGGREGATES = ("deployment", "lane", "freezes", "rules", "token")
KINDS = {topic for topic in LANDED if topic.partition(".")[0] in AGGREGATES}
MEMBERS = {
    *("event_id", "stream_id", "version", "topic", "schema_version", "organisation", "position", "commit_position"),
    *("sequence", "occurred_at", "recorded_at", "actor", "cause", "origin", "decision", "algorithm", "writer"),
}


class Person(Queue):
    """Somebody with a token of GitHub's, in a trace."""

    def __init__(self, running: Running, issuer: str, key: SigningKey, actor: str) -> None:
        super().__init__(running.client)
        claims = {**CLAIMS, "iss": issuer, "actor": actor, "iat": int(time.time()), "exp": int(time.time()) + 600}
        self.headers = {
            "Authorization": f"Bearer {key.sign(claims)}",
            "User-Agent": "pipeline/1.2",
            "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
        }


async def live_through_everything(octo: Person, ann: Person) -> None:
    """Each kind of event but those that Rollbook itself brings about."""
    await octo.ask("PUT", "/v1/rules", json=RULES)
    await octo.create("1")
    await octo.report(await octo.create("2"), "deployed")
    third = await octo.create("3")
    await octo.ask("PATCH", f"/v1/deployments/{third['id']}", json={"notes": "look"})
    for status in ("in_progress", "failed", "scheduled", "cancelled"):
        await octo.report(third, status)
    manual = await octo.create("4", auto=False)
    await ann.ask("POST", f"/v1/deployments/{manual['id']}/approve", json={"reason": "fine"})
    await octo.create("5")
    newest = await octo.create("6")
    freeze = await octo.ask("POST", "/v1/freezes", 201, json={"scope": {"name": "other"}, "reason": "sale"})
    await octo.ask("POST", f"/v1/freezes/{freeze['id']}/lift", json={"reason": "over"})
    assert (await octo.claim())["id"] == newest["id"]
    await octo.report(newest, "deployed")
    corrected = {"went_live_at": "2026-03-01T12:00:00Z", "reason": "The clock was late"}
    await ann.ask("POST", f"/v1/deployments/{newest['id']}/corrections", 201, json=corrected)
    await octo.ask("POST", "/v1/deployments/rollback", 201, params=LANE)
    await octo.ask("POST", "/v1/lanes/release", json={**LANE, "reason": "fixed"})
    await octo.ask("POST", f"/v1/deployments/{newest['id']}/rollback", 201)
    token = await octo.ask("POST", "/v1/tokens", 201, json={"name": "ci", "role": "viewer"})
    await octo.ask("DELETE", f"/v1/tokens/{token['id']}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def events(
    postgres: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """A log with every kind of event, by people with tokens of GitHub's and by Rollbook itself; nobody changes it."""
    key, folder = SigningKey("first"), tmp_path_factory.mktemp("envelope")
    with fresh_database(postgres, template) as database:
        async with serving() as stage:
            stage.begin().keys = [key.public_jwk()]
            async with running_rollbook(settings_for(folder), database) as open_to_all:
                await Queue(open_to_all.client).ask("PUT", "/v1/rules", json=RULES)
            settings = settings_for(folder, auth_enabled=True, github_oidc_issuer=stage.url)
            async with running_rollbook(settings, database) as running:
                octo, ann = (Person(running, stage.url, key, name) for name in ("octo-canary", "ann-canary"))
                await live_through_everything(octo, ann)
                created = await octo.create("1", cell="x")
                claimed = await octo.claim(lanes=[{**LANE, "cell": "x"}])
                await Housekeeping(running.app).lapse("acme", UUID(created["id"]), claimed["lease"]["fence"])
        return stored(database.admin_url)


def of(events: list[dict[str, Any]], topic: str) -> list[dict[str, Any]]:
    """The envelopes of one kind."""
    return [e["told"] for e in events if e["topic"] == topic]


async def test_an_event_of_each_kind_carries_the_whole_envelope(events: list[dict[str, Any]]) -> None:
    assert {e["topic"] for e in events} >= KINDS
    for event in events:
        told = event["told"]
        assert set(told) == MEMBERS
        assert event["event_id"].version == 7
        assert event["stream_id"].partition("-")[0] == event["topic"].partition(".")[0]
        assert told["occurred_at"] <= told["recorded_at"].replace("Z", "+00:00")
        assert (told["algorithm"], told["writer"].split()[0]) == ("sha256", "rollbook")
        assert set(told["actor"]) == {"id", "sealed_login"}
        assert UUID(told["actor"]["id"]).version == 4
        assert len(b64decode(told["actor"]["sealed_login"], validate=True)) > 28, "a nonce, a tag and what is sealed"
        assert b"-canary" not in event["envelope"] + event["payload"]
    versions: dict[str, list[int]] = {}
    for event in events:
        versions.setdefault(event["stream_id"], []).append(event["version"])
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
    check_order(events)
    verify(events)


async def test_what_came_with_a_github_token_tells_from_which_run_and_trace(events: list[dict[str, Any]]) -> None:
    expected = {
        "interface": "queue",
        "client": "pipeline/1.2",
        "repository": "ACME/shop",
        "repository_id": "71",
        "owner": "ACME",
        "owner_id": "42",
        "ref": "refs/heads/main",
        "sha": "c0ffee",
        "workflow": "Deploy",
        "run_id": "1234",
        "run_attempt": "2",
    }
    told = [e["told"] for e in events if e["told"]["origin"]["issuer"] and e["topic"] in KINDS]
    assert {t["topic"] for t in told} == KINDS - {"rules.opened", "deployment.claim_lapsed"}
    for one in told:
        assert {n: v for n, v in one["origin"].items() if n != "issuer"} == expected
        assert one["origin"]["issuer"].startswith("http")
        assert one["cause"]["correlation_id"] == TRACE
        assert one["cause"]["traceparent"].split("-")[1] == TRACE
    assert {one["origin"]["interface"] for one in of(events, "deployment.claim_lapsed")} == {"housekeeping"}


async def test_the_events_of_a_command_share_its_id_and_no_others_do(events: list[dict[str, Any]]) -> None:
    commands: dict[int, set[str]] = {}
    for event in events:
        commands.setdefault(event["commit_position"], set()).add(event["told"]["cause"]["command_id"])
        assert set(event["told"]["cause"]) == {"correlation_id", "causation_id", "command_id", "traceparent"}
    assert all(len(ids) == 1 for ids in commands.values())
    assert len({UUID(min(ids)) for ids in commands.values()}) == len(commands)


async def test_what_rollbook_does_itself_names_the_event_that_caused_it(events: list[dict[str, Any]]) -> None:
    (lapse,) = (e for e in events if e["topic"] == "deployment.claim_lapsed")
    claim = [e for e in events if e["stream_id"] == lapse["stream_id"] and e["topic"] == "deployment.claimed"][-1]
    caused = [e["told"]["cause"] for e in events if e["commit_position"] == lapse["commit_position"]]
    assert {cause["causation_id"] for cause in caused} == {str(claim["event_id"])}
    assert {cause["correlation_id"] for cause in caused} == {TRACE}
    assert TRACE not in lapse["told"]["cause"]["traceparent"]
    asked = [e for e in events if e["told"]["origin"]["interface"] == "queue"]
    assert {e["told"]["cause"]["causation_id"] for e in asked} == {None}


async def test_each_decision_carries_its_rule_and_what_it_was_decided_on(events: list[dict[str, Any]]) -> None:
    by_topic = {topic: [t["decision"] for t in of(events, topic)] for topic in KINDS}
    live, claim = "scheduled-before-deployed", "scheduled-before-claimed"
    assert [d["rule"] for d in by_topic["deployment.skipped"]] == [live, claim, live]
    assert [d["rule"] for d in by_topic["lane.superseded"]] == [live, claim, live]
    for decision in by_topic["deployment.skipped"]:
        assert set(decision["inputs"]) == {"skipped_by", "below", "lane", "lane_version", "automatic_only", "read"}
    assert [d["inputs"]["automatic_only"] for d in by_topic["deployment.skipped"]] == [False, True, False]
    assert {d["rule"] for d in by_topic["deployment.claimed"]} == {"rollback-first-then-newest"}
    (approval,) = by_topic["deployment.approved"]
    assert (approval["rule"], approval["inputs"]["role"]) == ("approver-by-role", "admin")
    assert {stream.partition("-")[0] for stream in approval["inputs"]["read"]} == {"rules"}
    rollbacks = [d for d in by_topic["deployment.scheduled"] if d]
    assert [d["rule"] for d in rollbacks] == ["newest-other-deployed"] * 2
    assert {"source", "current", "target_version", "environment", "lane_version", "read"} == set(rollbacks[0]["inputs"])
    assert by_topic["deployment.rolled_back"][0]["rule"] == "newest-other-deployed"
    assert by_topic["deployment.annotated"] == by_topic["deployment.failed"] == [None]


async def test_a_log_that_was_changed_does_not_pass_the_verifier(events: list[dict[str, Any]]) -> None:
    middle = len(events) // 2
    for name in ("payload", "envelope", "hash", "previous_hash"):
        forged = [dict(e) for e in events]
        forged[middle][name] = bytes(32)
        with pytest.raises(AssertionError):
            verify(forged)
    for forged in (events[:middle] + events[middle + 1 :], events[1:], [*events[:2], *events[1:]]):
        with pytest.raises(AssertionError):
            verify(forged)
    with pytest.raises(AssertionError):
        verify([{**e, "topic": "deployment.failed"} for e in events])
