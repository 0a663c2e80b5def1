"""What comes in is read within limits, and refused at the place that is wrong."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.http.api import Limits
from entrypoints.http.requests import depth
from tests.http.asgi import LIMITS, Shop

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


async def faults(shop: Shop, body: bytes) -> list[dict[str, Any]]:
    """The list of a 422."""
    reply = await shop.ask("POST", "/v1/things", body)
    assert reply.status == 422, reply.body
    listed: list[dict[str, Any]] = reply.json()["detail"]
    return listed


async def test_a_body_in_chunks_is_one_body(shop: Shop) -> None:
    reply = await shop.ask("POST", "/v1/things", [b'{"na', b'me":"a"', b"}"])
    assert (reply.status, reply.json()["name"]) == (201, "a")


@pytest.mark.parametrize(
    "kind", ["", "application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"]
)
async def test_a_body_is_taken_as_json_where_nothing_else_is_said(shop: Shop, kind: str) -> None:
    reply = await shop.ask("POST", "/v1/things", b'{"name":"a"}', headers={"content-type": kind})
    assert reply.status == 201


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json"])
async def test_a_body_that_says_it_is_something_else_is_a_415(shop: Shop, kind: str) -> None:
    reply = await shop.ask("POST", "/v1/things", b'{"name":"a"}', headers={"content-type": kind})
    assert (reply.status, reply.headers["x-error-code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_a_wrong_member_is_named_with_its_input_and_limit(shop: Shop) -> None:
    [fault] = await faults(shop, b'{"name":"a","amount":11}')
    assert (fault["type"], fault["loc"], fault["input"]) == ("less_than_equal", ["body", "amount"], 11)
    assert fault["ctx"] == {"le": 10}
    assert fault.keys() == {"type", "loc", "msg", "input", "ctx"}


async def test_a_member_of_a_member_is_named_by_its_whole_path(shop: Shop) -> None:
    [fault] = await faults(shop, b'{"name":"a","parts":[{"weight":1},{}]}')
    assert (fault["type"], fault["loc"]) == ("missing", ["body", "parts", 1, "weight"])


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "missing"),
        (b" \n", "missing"),
        (b"{", "json_invalid"),
        (b"\xff", "json_invalid"),
        (b'{"name":"\\ud800"}', "json_invalid"),
        (b'{"name":NaN}', "json_invalid"),
        (b"[" * 9 + b"]" * 9, "json_invalid"),
        (b"[]", "model_attributes_type"),
        (b'"text"', "model_attributes_type"),
        (b"null", "model_attributes_type"),
        (b'{"name":"a\\u0000b"}', "string_unicode"),
        (b'{"name":"a","facts":{"x":["\\u0000"]}}', "string_unicode"),
        (b'{"name":"a","facts":{"\\u0000":1}}', "string_unicode"),
        (b'{"name":"a","amount":123456789012345678901234567890}', "int_parsing_size"),
    ],
)
async def test_a_malformed_body_is_a_422_list(shop: Shop, body: bytes, kind: str) -> None:
    [fault] = await faults(shop, body)
    assert fault["type"] == kind
    assert fault["loc"][0] == "body"


async def test_a_long_refused_input_is_not_sent_back_whole(shop: Shop) -> None:
    [fault] = await faults(shop, orjson.dumps({"name": "a", "amount": "x" * 1000}))
    assert len(fault["input"]) == 200


async def test_the_list_of_faults_is_bounded(shop: Shop) -> None:
    many = b'{"name":"a","parts":[' + b",".join([b"1"] * 500) + b"]}"
    nul = b'{"name":"a","facts":{"x":[' + b",".join([b'"\\u0000"'] * 150) + b"]}}"
    assert len(await faults(shop, many)) == len(await faults(shop, nul)) == 100


async def test_a_long_member_name_is_not_repeated_in_each_fault(shop: Shop) -> None:
    [fault] = await faults(shop, orjson.dumps({"name": "a", "facts": {"k" * 1000: "\x00"}}))
    assert fault["loc"] == ["body", "facts", "k" * 200]


async def test_a_body_beyond_the_limit_is_a_413_while_it_still_comes(shop: Shop) -> None:
    reply = await shop.ask("POST", "/v1/things", [b"x" * 1500, b"x" * 1500], leaves=True)
    assert (reply.status, reply.headers["x-error-code"]) == (413, "TOO_LARGE")


async def test_a_body_that_never_ends_is_a_408() -> None:
    shop = Shop(Limits(body_bytes=2000, json_depth=8, seconds=0.01))
    reply = await shop.ask("POST", "/v1/things", b"{", stalls=True)
    assert (reply.status, reply.headers["x-error-code"]) == (408, "REQUEST_TIMEOUT")


async def test_a_client_that_leaves_amid_its_body_has_asked_for_nothing(shop: Shop) -> None:
    reply = await shop.ask("POST", "/v1/things", b'{"name":"a"}', leaves=True)
    assert (reply.status, reply.headers["x-error-code"]) == (400, "REQUEST_CUT_OFF")


BINARY = {"content-type": "application/octet-stream"}


async def test_a_body_that_is_streamed_may_be_of_any_length(shop: Shop) -> None:
    reply = await shop.ask("POST", "/v1/streams", [b"x" * 1500] * 4, headers=BINARY)
    assert (reply.status, reply.json()) == (200, 6000)


async def test_a_body_that_is_streamed_must_say_what_it_is(shop: Shop) -> None:
    assert (await shop.ask("POST", "/v1/streams", b"x")).status == 415
    assert (await shop.ask("POST", "/v1/streams", b"x", headers={"content-type": "text/plain"})).status == 415


async def test_a_body_that_is_streamed_and_stalls_is_a_408() -> None:
    shop = Shop(Limits(body_bytes=2000, json_depth=8, seconds=0.01))
    assert (await shop.ask("POST", "/v1/streams", b"x", headers=BINARY, stalls=True)).status == 408


async def test_brackets_within_texts_do_not_nest(shop: Shop) -> None:
    body = orjson.dumps({"name": '[[[[[[[[[[[[{{{{{{\\"[[[[['})
    assert (await shop.ask("POST", "/v1/things", body)).status == 201


@pytest.mark.parametrize("text", [b'\\"' * 500_000, b'"' * 500_000, b"\\" * 500_001])
def test_measuring_the_depth_of_a_hostile_body_takes_linear_time(text: bytes) -> None:
    assert depth(b"[]" * 40 + b'"' + text, 32) <= 32


@given(st.binary(max_size=300) | JSON_VALUES.map(orjson.dumps))
async def test_no_body_breaks_the_server(body: bytes) -> None:
    reply = await Shop(LIMITS).ask("POST", "/v1/things", body)
    assert reply.status in (201, 413, 422)


@given(st.dictionaries(st.sampled_from(["name", "amount", "parts", "facts"]), JSON_VALUES).map(orjson.dumps))
async def test_no_members_break_the_server(body: bytes) -> None:
    reply = await Shop(LIMITS).ask("POST", "/v1/things", body)
    assert reply.status in (201, 413, 422)


async def test_a_query_is_coerced_and_lists_take_several_values(shop: Shop) -> None:
    reply = await shop.ask("GET", "/v1/things", query=b"limit=5&colour=red&colour=blue&limit=7&text=a+b%C3%A9")
    assert reply.json() == {"limit": 7, "colour": ["red", "blue"], "text": "a bé"}


async def test_a_wrong_parameter_is_named(shop: Shop) -> None:
    reply = await shop.ask("GET", "/v1/things", query=b"limit=x")
    [fault] = reply.json()["detail"]
    assert (reply.status, fault["type"], fault["loc"], fault["input"]) == (422, "int_parsing", ["query", "limit"], "x")


@pytest.mark.parametrize("query", [b"text=%00", b"text=%ff", b"colour=a&colour=%ed%a0%80"])
async def test_a_parameter_that_cannot_be_stored_is_a_422(shop: Shop, query: bytes) -> None:
    reply = await shop.ask("GET", "/v1/things", query=query)
    assert (reply.status, reply.json()["detail"][0]["type"]) == (422, "string_unicode")


@pytest.mark.parametrize("query", [b"other=1", b"%ff=%00", b"_=%00", b"&&=&", b"%zz=%"])
async def test_unknown_parameters_are_ignored_whatever_they_hold(shop: Shop, query: bytes) -> None:
    assert (await shop.ask("GET", "/v1/things", query=query)).status == 200


@given(st.binary(max_size=100))
async def test_no_query_breaks_the_server(query: bytes) -> None:
    assert (await Shop().ask("GET", "/v1/things", query=query)).status in (200, 422)
