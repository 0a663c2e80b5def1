"""What a subscriber may not see is not told."""

from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest

from adapters.feed.telling import line_of
from adapters.feed.wanted import Wanted
from application.caller import Caller, Role
from domain.recorded import RecordedEvent
from entrypoints.http.feed import wanted_of
from entrypoints.http.feed_models import Wishes
from entrypoints.http.routing import Call
from tests.conftest import Running
from tests.feed.subscriber import everything
from tests.sharing import own_organisation

KEYS = {"customers": {"1": "1001"}}


def event(topic: str, payload: object) -> RecordedEvent:
    """An event of the log."""
    envelope = b'{"event_id":"x","occurred_at":"2026-03-01T12:00:00Z","actor":{"id":"somebody"}}'
    at, nobody = datetime(2026, 3, 1, tzinfo=UTC), UUID(int=1)
    return RecordedEvent(1, 1, nobody, "job-1", 1, topic, 1, "acme", 1, at, orjson.dumps(payload), envelope, b"", b"")


@pytest.mark.parametrize(
    ("topic", "payload", "left"),
    [
        ("data_deployment.deployed", {"tables": {}, "keys": KEYS, "kept": "0" * 64}, {"tables": {}}),
        ("job.completed", {"result": {"deployed": {"keys": KEYS, "n": 1}}}, {"result": {"deployed": {"n": 1}}}),
        ("job.completed", {"result": None}, {"result": None}),
    ],
)
def test_who_may_not_read_rows_gets_no_keys_of_rows(topic: str, payload: object, left: object) -> None:
    assert orjson.loads(line_of(event(topic, payload), 1, rows=False))["payload"] == left
    assert orjson.loads(line_of(event(topic, payload), 1, rows=True))["payload"] == payload


def test_who_may_not_list_tokens_is_told_of_none() -> None:
    for topic in ("token.issued", "token.revoked"):
        assert Wanted(topics=("*",)).takes_topic(topic)
        assert not Wanted(topics=("*",), tokens=False).takes_topic(topic)


@pytest.mark.parametrize(("scope", "told"), [(None, True), ({"feed.read", "token.read"}, True), ({"feed.read"}, False)])
def test_a_narrow_token_of_an_administrator_is_told_of_no_more_than_it_covers(
    scope: set[str] | None, told: bool
) -> None:
    call = Call(None, "GET", "/v1/events", {}, b"", "", "")
    call._caller = Caller("acme", "ann", Role.ADMIN, "token", "", "", scope=frozenset(scope) if scope else None)
    wanted = wanted_of(call, Wishes())
    assert (wanted.tokens, wanted.rows) == (told, scope is None)


@pytest.mark.asyncio(loop_scope="session")
async def test_an_administrator_is_told_of_tokens(quiet: Running) -> None:
    acme = own_organisation()
    headers = {"X-Organisation": acme}
    made = await quiet.client.post("/v1/tokens", json={"name": "ci", "role": "viewer"}, headers=headers)
    assert made.status_code == 201
    assert [one["topic"] for one in await everything(quiet.client, acme, topic="token.*")] == ["token.issued"]
