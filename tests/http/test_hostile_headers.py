"""No header, however malformed, is believed or breaks anything: every route, every header that means something."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conftest import Database, running_rollbook, settings_for
from tests.http.hostile import NOBODY, ROUTES, Siege, path_of, with_body
from tests.identity.providers import serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

TRACE = re.compile(r"[0-9a-f]{32}")
KEYS = {"empty": "", "too long": "k" * 256}
ORGANISATIONS: dict[str, str | bytes] = {
    "empty": "",
    "too long": "a" * 101,
    "a control character": "a\tb",
    "a hidden one": "a\u200bb",
    "one that turns the line round": "a\u202eb",
    "no UTF-8": b"\xff\xfe",
}
STRANGERS: dict[str, str | bytes] = {
    "no scheme": "token",
    "no token": "Bearer",
    "nothing": "",
    "another scheme": "Basic YWRtaW46YWRtaW4=",
    "two tokens": "Bearer a b",
    "no ASCII": b"Bearer \xff\xfe",
    "a long one": "Bearer " + "x" * 30_000,
    "a long one of ours": "Bearer rbk_" + "x" * 30_000,
    "one of ours that is none": "Bearer rbk_" + "A" * 43,
    "a JWT of nothing": "Bearer e30.e30.",
    "a JWT of dots": "Bearer ...",
    "a JWT without a signature": "Bearer eyJhbGciOiJub25lIiwia2lkIjoieCJ9.eyJpc3MiOiJ4In0.",
    "a long JWT": "Bearer " + "e" * 20_000 + "." + "e" * 20_000 + ".e",
    "a JWT of deep JSON": "Bearer " + "W1tb" * 5000 + ".W10.W10",
    "GitHub's looks": "Bearer ghp_" + "0" * 36,
}
TRACEPARENTS = ("", "00", "ff-" + "a" * 32 + "-" + "b" * 16 + "-01", f"00-{'0' * 32}-{'b' * 16}-01", "x" * 5000, "é")
MATCHES = ('""', '"x"', "W/", '"-1"', '"99999999999999999999"', '"²"', "é", "null", '"1" "1"')


@pytest_asyncio.fixture(loop_scope="session")
async def guarded(database: Database, tmp_path: Path) -> AsyncIterator[Siege]:
    """One that asks who is there, with a GitHub that knows nobody."""
    async with serving() as stage:
        stage.begin()
        facts = {"auth_enabled": True, "github_api_url": stage.url, "github_oidc_issuer": stage.url}
        async with running_rollbook(settings_for(tmp_path, **facts), database) as running:
            yield Siege(running)


async def test_an_idempotency_key_that_is_none_is_a_400_at_every_route_that_records(siege: Siege) -> None:
    for route in (r for r in ROUTES if r.appends):
        for what, key in KEYS.items():
            await siege.refused(route, what, {400}, headers={"Idempotency-Key": key})
    await siege.held()


async def test_an_organisation_that_cannot_be_one_is_a_400_at_every_route(siege: Siege) -> None:
    for route in ROUTES:
        for what, name in ORGANISATIONS.items():
            value = name.encode() if isinstance(name, str) else name
            await siege.refused(route, what, {400}, headers={b"X-Organisation": value})
    await siege.held()


async def test_who_shows_no_good_token_is_a_401_at_every_route_whatever_else_they_send(guarded: Siege) -> None:
    for route in ROUTES:
        for what, value in STRANGERS.items():
            headers = {
                b"Authorization": value if isinstance(value, bytes) else value.encode(),
                b"X-Organisation": b"acme",
            }
            await guarded.refused(route, what, {401}, headers=headers)
        await guarded.refused(route, "no header", {401})
        await guarded.refused(
            route, "a broken body too", {401}, content=b"{" * 9999, headers={"X-Organisation": "acme"}
        )
    await guarded.held()


async def test_a_trace_that_is_none_is_replaced_by_a_new_one(siege: Siege) -> None:
    for value in TRACEPARENTS:
        headers = {b"traceparent": value.encode()}
        answer = await siege.rollbook.client.get(f"/v1/deployments/{NOBODY}", headers=headers)
        assert TRACE.fullmatch(answer.headers["x-trace-id"]), value
        assert answer.headers["x-trace-id"] not in (value, "0" * 32, "a" * 32)


async def test_an_if_match_that_names_no_version_matches_none(siege: Siege) -> None:
    body = {"name": "shop", "version": "1", "provider": "gcp", "environment": "production", "type": "k8s"}
    made = (await siege.rollbook.client.post("/v1/deployments", json=body)).json()
    siege.start = await siege.rollbook.app.log.head()
    [route] = [r for r in ROUTES if r.method == "PATCH" and r.path.startswith("/v1/deployments")]
    for value in MATCHES:
        headers = {b"If-Match": value.encode()}
        request = {"path": path_of(route, made["id"]), "json": {"status": "deployed"}}
        await siege.refused(route, value, {412}, headers=headers, **request)
    await siege.held()


async def test_headers_that_promise_another_method_or_address_are_not_looked_at(siege: Siege) -> None:
    headers = {"X-HTTP-Method-Override": "POST", "X-Original-URL": "/docs", "X-Rewrite-URL": "/docs", "Host": "evil"}
    for route in with_body():
        await siege.refused(route, "promises", {404, 405}, path=f"{path_of(route)}/nowhere/at/all", headers=headers)
    await siege.held()
