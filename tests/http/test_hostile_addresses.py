"""No path and no query, however malformed, is taken or breaks anything: every route, every parameter."""

from enum import StrEnum
from typing import Any
from urllib.parse import quote_from_bytes, urlencode

import pytest

from entrypoints.http.requests import parameters_of
from entrypoints.http.routing import Route
from tests.http.hostile import DOCUMENT, ROUTES, Siege, path_of, query_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

SEGMENTS = {
    "a NUL": "%00",
    "half a character": "%ff",
    "a surrogate": "%ED%A0%80",
    "half an escape": "%",
    "a line": "a%0D%0AX-Injected:%201",
    "a quote": "'%22%3B--",
    "an id in braces": "%7B00000000-0000-4000-8000-000000000000%7D",
    "an id as a URN": "urn:uuid:00000000-0000-4000-8000-000000000000",
    "an id without hyphens": "00000000000040008000000000000000",
    "an id in other digits": "%D9%A0" * 8,
    "another id's prefix": "deploy-1",
    "a number": "9" * 4300,
    "a long text": "x" * 20_000,
    "spaces": "%20%20",
    "emoji": "%F0%9F%92%A5",
}
ELSEWHERE = (
    "/..",
    "/%2e%2e/%2e%2e/etc/passwd",
    "//v1/deployments",
    "/v1/deployments/",
    "/v1/deployments/a/b/c",
    "/%00",
)
UNSTORABLE = (b"\x00", b"a\x00b", b"\xff", b"\xed\xa0\x80", b"\xc0\xaf")
NO_NUMBER = ("", "x", "1.5", "-1", "10001", "1e3", "9" * 5000, "0x10", "Infinity", "\u0661", "1,2", "[]")
NO_MOMENT = ("", "x", "now", "2026-01-01", "2026-01-01T00:00:00", "2026-02-30T00:00:00Z", "12:00", "9" * 5000)
NO_PAST = (*NO_MOMENT, "-1", "1.5", "99999999999999999999", "9999-12-31T23:59:59Z", "\u0661")
NO_CHOICE = ("x", "GCP", "gcp ", "gcp,aws", "null", "\u212a8s")
NO_BOOLEAN = ("", "2", "maybe", "null", "-1")
# That of a page of keys is a number; any other says of what it is, too.
NO_CURSOR = ("x", "-", "1-", "-1", "1-x", "9" * 41)


async def test_any_segment_is_a_legal_id_of_nothing_at_every_route(siege: Siege) -> None:
    for route in (r for r in ROUTES if "{" in r.path):
        for what, segment in SEGMENTS.items():
            await siege.refused(route, what, {404}, path=path_of(route, segment))
    await siege.held()


async def test_where_no_route_is_the_answer_is_a_404_in_the_same_shape(siege: Siege) -> None:
    for path in ELSEWHERE:
        for method in ("GET", "POST", "DELETE"):
            await siege.refused(ROUTES[0], path, {404, 405}, path=path, method=method)
    await siege.held()


async def test_another_method_is_a_405_at_every_route(siege: Siege) -> None:
    for route in ROUTES:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "PROPFIND"):
            if method.lower() not in DOCUMENT["paths"][route.path] and "{" not in route.path:
                await siege.unfit(route, method)
    await siege.held()


async def test_a_parameter_that_cannot_be_kept_is_a_422_at_every_route(siege: Siege) -> None:
    for route, name in parameters():
        for value in UNSTORABLE:
            query = f"{urlencode(query_of(route))}&{name}={quote_from_bytes(value)}"
            await siege.refused(route, query, {422}, path=f"{path_of(route)}?{query}", params=None)
    await siege.held()


async def test_a_parameter_of_a_wrong_kind_is_refused_at_every_route(siege: Siege) -> None:
    for route, name in parameters():
        for value in unfit(route, name):
            await siege.refused(route, f"{name}={value!r:.40}", {400, 422}, params={**query_of(route), name: value})
    await siege.held()


async def test_of_a_parameter_that_comes_twice_the_last_one_counts(siege: Siege) -> None:
    for route, name in parameters():
        for value in unfit(route, name)[:1]:
            query = [*query_of(route).items(), (name, "1"), (name, value)]
            await siege.refused(route, f"{name} twice", {400, 422}, params=query)
    await siege.held()


async def test_a_parameter_that_is_needed_is_missed_at_every_route(siege: Siege) -> None:
    for route in ROUTES:
        for name in query_of(route):
            rest = {other: value for other, value in query_of(route).items() if other != name}
            await siege.refused(route, f"without {name}", {422}, params=rest)
            await siege.refused(route, f"another case of {name}", {422}, params={**rest, name.upper(): "shop"})
    await siege.held()


def parameters() -> list[tuple[Route, str]]:
    """Every query parameter of every route."""
    return [(route, name) for route in ROUTES for name in (parameters_of(route.query) if route.query else ())]


def no_place(route: Route) -> tuple[str, ...]:
    """Values that are no place in the log; to the feed `1.5` is one, of another epoch."""
    return tuple(value for value in NO_PAST if route.path != "/v1/events" or value != "1.5")


def unfit(route: Route, name: str) -> tuple[str, ...]:
    """Values that the parameter does not take; none for a text, which may be anything."""
    kinds: dict[str, tuple[str, ...]] = {
        "limit": NO_NUMBER,
        "since": NO_MOMENT,
        "until": NO_MOMENT,
        "as_of": NO_PAST,
        "from": no_place(route),
        "to": no_place(route),
        "cell_is_null": NO_BOOLEAN,
        "cursor": NO_CURSOR if route.path.endswith("/mappings") else (*NO_CURSOR, "1"),
        "sort": (*NO_CHOICE, ""),
    }
    choice: Any = str(parameters_of(route.query)[name].annotation) if route.query else ""
    return kinds.get(name, NO_CHOICE if any(one.__name__ in choice for one in StrEnum.__subclasses__()) else ())
