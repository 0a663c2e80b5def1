"""The way in: which kind of credential is judged how, and what is never told."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
import structlog
from starlette.responses import Response

from adapters.identity.cache import TimedCache
from application.caller import Role
from application.ports.identity import KnownToken
from domain.errors import Forbidden, Invalid, RollbookError, Unauthenticated
from tests.identity.entrance import Entrance

SECRET = "rbk_0123456789abcdef"

pytestmark = pytest.mark.asyncio(loop_scope="session")


def issue(entrance: Entrance, **changes: Any) -> KnownToken:
    facts = {"organisation": "ACME", "name": "night-job", "role": Role.APPROVER, "owner": "octo"}
    token = KnownToken(**{"token_id": uuid4(), **facts, **changes})
    entrance.known_tokens[hashlib.sha256(SECRET.encode()).digest()] = token
    return token


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic b2N0bzpjYXQ=", "token ghp_a", "ghp_a", "\xff\x00"])
async def test_no_or_another_scheme_is_a_missing_header(entrance: Entrance, value: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await entrance.authentication.authenticate({"authorization": value, "x-organisation": "acme"})
    assert refused.value.message == "Missing authorization header"


async def test_no_header_at_all_is_a_missing_header(entrance: Entrance) -> None:
    with pytest.raises(Unauthenticated, match="Missing authorization header"):
        await entrance.authentication.authenticate({})


@pytest.mark.parametrize("scheme", ["bearer ", "BEARER ", "Bearer   "])
async def test_the_scheme_ignores_case_and_spaces(entrance: Entrance, scheme: str) -> None:
    caller = await entrance.authentication.authenticate({"authorization": scheme + entrance.token()})
    assert caller.organisation == "acme"


async def test_rollbooks_own_token_names_its_organisation_role_and_scope(entrance: Entrance) -> None:
    token = issue(entrance, scope=frozenset({"deployment.create"}))
    caller = await entrance.knock(SECRET, organisation="somebody-else")
    assert (caller.organisation, caller.role, caller.scope) == ("acme", Role.APPROVER, token.scope)
    assert (caller.repository, caller.workflow, caller.login) == ("acme/token", "token", "night-job")
    assert caller.claims == {"token_id": str(token.token_id), "owner": "octo"}


@pytest.mark.parametrize("token", [SECRET, "rbk_", "rbk_a.b.c", "rbk_\u00fc", "rbk_\ud800", "rbk_" + "x" * 10_000])
async def test_an_unknown_token_of_rollbook_is_refused(entrance: Entrance, token: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await entrance.knock(token)
    assert refused.value.message == "Invalid API token"


async def test_a_token_of_rollbook_ends_with_its_time(entrance: Entrance) -> None:
    issue(entrance, expires_at=datetime.fromtimestamp(entrance.clock.now + 10, UTC))
    assert await entrance.knock(SECRET)
    entrance.clock.advance(10)
    with pytest.raises(Unauthenticated, match="Invalid API token"):
        await entrance.knock(SECRET)


async def test_a_revoked_token_of_rollbook_is_refused_at_once(entrance: Entrance) -> None:
    issue(entrance)
    assert await entrance.knock(SECRET)
    entrance.known_tokens.clear()
    with pytest.raises(Unauthenticated, match="Invalid API token"):
        await entrance.knock(SECRET)


async def test_organisations_beyond_the_allowed_ones_are_refused_by_every_way_in(
    entrance: Entrance, member: Callable[..., str]
) -> None:
    entrance.settings["allowed"] = ["Widgets"]
    issue(entrance)
    pat = member("ghp_a", acme=42, WIDGETS=7)
    for token in (entrance.token(), pat, SECRET):
        with pytest.raises(Forbidden, match="Organisation '(?i:acme)' is not allowed"):
            await entrance.knock(token, "acme")
    assert await entrance.knock(pat, "wIdGeTs")
    assert await entrance.knock(entrance.token(repository_owner="WIDGETS"))


async def test_who_is_not_known_is_not_told_what_is_allowed(entrance: Entrance) -> None:
    entrance.settings["allowed"] = ["widgets"]
    with pytest.raises(Unauthenticated, match="Invalid GitHub token"):
        await entrance.knock("ghp_bad", "acme")


async def test_without_authentication_everybody_is_an_administrator(entrance: Entrance) -> None:
    entrance.settings["enabled"] = False
    caller = await entrance.knock("not.looked.at", "ACME")
    assert (caller.organisation, caller.role) == ("acme", Role.ADMIN)
    assert (caller.repository, caller.workflow, caller.login) == ("acme/local", "local-dev", "local-dev")


async def test_without_authentication_the_default_organisation_fills_in(entrance: Entrance) -> None:
    entrance.settings.update(enabled=False, default_organisation="Local-Dev")
    assert (await entrance.knock()).organisation == "local-dev"


@pytest.mark.parametrize("name", ["x" * 100, "a.b*c>d", "stra\u00c3\u009fe"])
async def test_without_authentication_any_printable_name_is_an_organisation(entrance: Entrance, name: str) -> None:
    entrance.settings["enabled"] = False
    assert (await entrance.knock(organisation=name)).organisation == name.encode("latin-1").decode()


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\x00b", "a\tb", "a\x7f", "\xff", "\u20ac", "a\xc2\x85b"])
async def test_a_name_that_cannot_be_an_organisations_is_refused(entrance: Entrance, name: str) -> None:
    entrance.settings["enabled"] = False
    with pytest.raises(Invalid, match="X-Organisation must be 1 to 100 printable characters"):
        await entrance.knock(organisation=name)


async def test_every_attempt_is_counted_by_method_and_success(entrance: Entrance, member: Callable[..., str]) -> None:
    issue(entrance)
    attempts = [
        (None, None),
        (entrance.token(), None),
        ("a.b.c", None),
        (member("ghp_a", acme=1), "acme"),
        ("ghp_b", None),
        (SECRET, None),
    ]
    for token, organisation in attempts:
        try:
            await entrance.knock(token, organisation)
        except RollbookError:
            continue
    ways = [("none", False), ("oidc", True), ("oidc", False), ("pat", True), ("pat", False), ("token", True)]
    assert entrance.counted == ways


CANARIES: Mapping[str, Callable[[Entrance], str]] = {
    "a personal access token": lambda entrance: "ghp_canaryCANARYcanary",
    "a token of Rollbook": lambda entrance: "rbk_canaryCANARYcanary",
    "a forged JWT": lambda entrance: entrance.token()[:-8] + "cAnArYcA",
    "a JWT of an unknown algorithm": lambda entrance: (
        "eyJhbGciOiJjYW5hcnkiLCJraWQiOiJrIn0.eyJpc3MiOiJjYW5hcnkifQ.Y2FuYXJ5"
    ),
    "no JWT": lambda entrance: "canary.CANARY.canary",
}


@pytest.mark.parametrize("kind", CANARIES)
@pytest.mark.parametrize("outage", [False, True])
async def test_a_refused_token_is_found_in_no_log_and_no_error(
    entrance: Entrance, caplog: pytest.LogCaptureFixture, kind: str, outage: bool
) -> None:
    token = CANARIES[kind](entrance)
    if outage:
        entrance.providers.keys = None
        entrance.providers.answer = Response(status_code=503)
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as lines, pytest.raises(RollbookError) as refused:
        await entrance.knock(token, "acme")
    told = [*map(str, lines), caplog.text, *chain(refused.value)]
    for piece in (token, *token.split("."), hashlib.sha256(token.encode()).hexdigest()):
        assert not any(piece in text for text in told)


def chain(error: BaseException | None) -> list[str]:
    """Every text that an error and those it came from would show."""
    texts = []
    while error is not None:
        texts.append(f"{error!r} {vars(error)}")
        error = error.__cause__ or error.__context__
    return texts


async def test_what_is_remembered_of_tokens_holds_none_of_them(entrance: Entrance, member: Callable[..., str]) -> None:
    run, known, unknown = entrance.token(), member("ghp_knownKNOWN", acme=1), "ghp_unknownUNKNOWN"
    for token in (run, known, unknown):
        with suppress(RollbookError):
            await entrance.knock(token, "acme")
    caches = list(remembered(entrance.authentication))
    assert [len(cache) for cache in caches] == [1, 1, 1]
    kept = "".join(f"{cache._entries}" for cache in caches)
    assert not any(piece in kept for token in (run, known, unknown) for piece in (token, *token.split(".")[1:]))


def remembered(one: Any) -> Iterator[TimedCache[Any, Any]]:
    """The caches within, in whichever part of our own they are."""
    for part in vars(one).values():
        if isinstance(part, TimedCache):
            yield part
        elif type(part).__module__.startswith("adapters.identity") and hasattr(part, "__dict__"):
            yield from remembered(part)
