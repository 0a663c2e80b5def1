"""No body, however malformed, is taken or breaks anything: every route that takes one, every place within it."""

import json
from typing import Any

import pytest

from entrypoints.http.routing import Route
from tests.http.hostile import Siege, in_order, places, replaced, with_body

pytestmark = pytest.mark.asyncio(loop_scope="session")

JSON = {"Content-Type": "application/json"}
REFUSED = {422}
TOO_LONG = "x" * 100_001
BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "spaces": b" \r\n\t ",
    "half an object": b'{"name":',
    "two values": b"{}{}",
    "a comma too many": b'{"name":"a",}',
    "single quotes": b"{'name':'a'}",
    "a comment": b'{"name":"a"} // so',
    "a name without quotes": b'{name:"a"}',
    "a number that is none": b'{"name":NaN}',
    "an endless number": b'{"name":-Infinity}',
    "a leading zero": b'{"name":01}',
    "invalid UTF-8": b'{"name":"\xff\xfe"}',
    "an overlong UTF-8 form": b'{"name":"\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"name":"\xed\xa0\x80"}',
    "a lone surrogate": b'{"name":"\\ud800"}',
    "surrogates in the wrong order": b'{"name":"\\udc00\\ud800"}',
    "a broken escape": b'{"name":"\\x41"}',
    "a raw control character": b'{"name":"a\nb"}',
    "a raw NUL": b'{"name":"a\x00b"}',
    "a NUL after it": b'{"name":"a"}\x00',
    "a byte order mark": b'\xef\xbb\xbf{"name":"a"}',
    "UTF-16": '{"name":"a"}'.encode("utf-16"),
    "UTF-16 without a mark": '{"name":"a"}'.encode("utf-16-be"),
    "UTF-32": '{"name":"a"}'.encode("utf-32"),
    "Latin-1": '{"name":"é"}'.encode("latin-1"),
    "deep arrays": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "deep and balanced": b'{"name":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "deep in what is ignored": b'{"unknown":' + b"[" * 33 + b"]" * 33 + b"}",
    "null": b"null",
    "a boolean": b"true",
    "a number": b"1e400",
    "a text": b'"text"',
    "an array": b"[]",
    "an array of objects": b"[{}]",
}
NOT_TEXT: tuple[Any, ...] = (1, 1.5, True, [], ["a"], {}, {"a": "b"}, "a\x00b", "\ud800", TOO_LONG)
NOT_WHOLE: tuple[Any, ...] = (1.5, "1", "", True, [], {}, -(2**63), 2**63, 10**400, None)
NOT_BOOLEAN: tuple[Any, ...] = (2, -1, 0.5, "maybe", "", [], {}, None)
NOT_A_LIST: tuple[Any, ...] = (1, "text", True, {"a": 1}, [None], [[]], [{}] * 1001)
NOT_AN_OBJECT: tuple[Any, ...] = (1, "text", True, [], [{}])
WRONG: dict[type, tuple[Any, ...]] = {
    str: NOT_TEXT,
    int: NOT_WHOLE,
    bool: NOT_BOOLEAN,
    list: NOT_A_LIST,
    dict: NOT_AN_OBJECT,
}


async def test_a_body_that_is_no_object_in_json_is_a_422_at_every_route(siege: Siege) -> None:
    for route in with_body():
        for what, content in BROKEN.items():
            await siege.refused(route, what, REFUSED, content=content, headers=JSON)
    await siege.held()


@pytest.mark.parametrize("kind", WRONG)
async def test_a_value_of_a_wrong_kind_is_a_422_wherever_it_stands(siege: Siege, kind: type) -> None:
    for route in with_body():
        for place in places(in_order(route), kind):
            for value in WRONG[kind]:
                if place and not taken_all_the_same(place, value):
                    await misplace(siege, route, place, value)
    await siege.held()


def taken_all_the_same(place: tuple[str | int, ...], value: Any) -> bool:
    """What fits although values like it do not: claims have any names, a lease may be left out, and documents are
    chosen by objects."""
    if place[-1] in ("lease", "lease_seconds") and value is None:
        return True
    return (place[-1] == "claims" and value == {"a": "b"}) or ("where_clause" in place[:-1] and isinstance(value, dict))


async def misplace(siege: Siege, route: Route, place: tuple[str | int, ...], value: Any) -> None:
    """One value where it does not belong."""
    content = json.dumps(replaced(in_order(route), place, value)).encode()
    await siege.refused(route, f"{place}: {value!r:.40}", REFUSED, content=content, headers=JSON)


async def test_the_last_of_two_members_of_one_name_counts(siege: Siege) -> None:
    for route in with_body():
        twice = json.dumps(in_order(route))[:-1]
        members = route.body.model_fields.items() if route.body else ()
        for name in {field.alias or name for name, field in members} - {"metadata", "teams"}:
            content = f'{twice}, "{name}": {{"not": ["this"]}}}}'.encode()
            await siege.refused(route, f"{name} twice", REFUSED, content=content, headers=JSON)
    await siege.held()


async def test_no_text_between_quotes_is_taken_for_a_moment(siege: Siege) -> None:
    moments = (
        "",
        "now",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "1767225600",
        "2026-13-01T00:00:00Z",
        "²026-01-01T00:00:00Z",
    )
    for route in with_body():
        for name in ("committed_at", "until", "expires_at"):
            for moment in moments if name in in_order(route) else ():
                await misplace(siege, route, (name,), moment)
    await siege.held()


async def test_a_body_of_another_kind_is_a_415_at_every_route(siege: Siege) -> None:
    for route in with_body():
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/xml"):
            await siege.refused(route, kind, {415}, content=b"{}", headers={"Content-Type": kind})
    await siege.held()


async def test_a_compressed_body_is_no_json(siege: Siege) -> None:
    for route in with_body():
        headers = {**JSON, "Content-Encoding": "gzip"}
        await siege.refused(route, "gzip", REFUSED, content=b"\x1f\x8b\x08\x00\x00\x00\x00\x00", headers=headers)
    await siege.held()


async def test_a_body_beyond_the_limit_is_a_413_at_every_route(siege: Siege) -> None:
    limit = siege.rollbook.app.settings.max_body_bytes
    for route in with_body():
        await siege.refused(route, "too large", {413}, content=b" " * (limit + 1), headers=JSON)
    await siege.held()
