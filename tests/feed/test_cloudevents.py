"""An event as a message: CloudEvents 1.0 in binary mode, safe whatever the event says."""

import re
from base64 import b64decode
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.nats.cloudevents import header_value, message
from adapters.nats.subjects import LONGEST_TOKEN, subject, token
from adapters.nats.windows import pieces
from tests.feed.ground import event

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


def test_the_required_attributes_are_headers_and_the_payload_is_the_data() -> None:
    told = event(7, topic="deployment.rolled_back", stream_id="deployment-1", schema_version=2)
    written = message(told, "store-1", 3)
    assert written.payload == told.payload
    assert written.subject == "rollbook.acme.deployment.rolled_back"
    expected = {
        "ce-specversion": "1.0",
        "ce-id": str(told.event_id),
        "ce-source": "/organisations/acme",
        "ce-type": "rollbook.deployment.rolled_back",
        "ce-subject": "deployment-1",
        "ce-time": "2026-01-02T03:04:05.000678Z",
        "ce-dataschema": "urn:rollbook:deployment.rolled_back:2",
        "ce-datacontenttype": "application/json",
        "Nats-Msg-Id": str(told.event_id),
        "rollbook-store": "store-1",
        "rollbook-epoch": "3",
        "rollbook-position": "7",
        "rollbook-stream": "deployment-1",
    }
    assert expected.items() <= written.headers.items()


def test_a_subscriber_can_verify_the_hash_from_the_message_alone() -> None:
    told = event(1, envelope={"actor": {"id": "p"}, "text": "größe"})
    headers = message(told, "s", 1).headers
    assert b64decode(headers["rollbook-envelope"]) == told.envelope_bytes
    assert (headers["rollbook-previous-hash"], headers["rollbook-hash"]) == (told.previous_hash.hex(), told.hash.hex())


def test_the_trace_that_caused_an_event_goes_on_in_its_message() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = message(event(1, envelope={"cause": {"traceparent": trace, "causation_id": None}}), "s", 1).headers
    assert headers["traceparent"] == headers["ce-traceparent"] == trace
    assert "rollbook-causation-id" not in headers


@given(NAMES)
def test_no_name_can_forge_a_header(name: str) -> None:
    written = header_value(name)
    assert re.fullmatch(r"[\x21-\x7e]*", written)
    assert unquote(written) == name


@given(NAMES, NAMES)
def test_different_organisations_never_share_a_subject(one: str, other: str) -> None:
    assert (token(one) == token(other)) == (one == other)


@given(NAMES)
def test_any_name_is_one_legal_token(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_%~-]+", token(name))
    assert len(token(name)) <= LONGEST_TOKEN


@pytest.mark.parametrize(
    ("organisation", "expected"),
    [
        ("a.b", "rollbook.a%2Eb.deployment.scheduled"),
        ("*", "rollbook.%2A.deployment.scheduled"),
        (">", "rollbook.%3E.deployment.scheduled"),
        ("zwei wörter", "rollbook.zwei%20w%C3%B6rter.deployment.scheduled"),
        ("", "rollbook.~.deployment.scheduled"),
    ],
)
def test_organisations_are_percent_encoded(organisation: str, expected: str) -> None:
    assert subject(organisation, "deployment.scheduled") == expected


def test_pieces_end_where_a_commit_ends() -> None:
    events = [event(n, 3 * ((n + 2) // 3), payload=bytes(1000)) for n in range(1, 10)]
    messages = [message(one, "s", 1) for one in events]
    cut = list(pieces(messages, most_bytes=messages[0].size * 5))
    assert [[one.position for one in piece] for piece in cut] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_a_commit_too_large_for_a_piece_is_cut_and_nothing_is_left_out() -> None:
    messages = [message(event(n, 9, payload=bytes(1000)), "s", 1) for n in range(1, 10)]
    assert [len(piece) for piece in pieces(messages, most_bytes=messages[0].size * 4)] == [4, 4, 1]
    assert [len(piece) for piece in pieces(messages, most_bytes=1)] == [1] * 9
