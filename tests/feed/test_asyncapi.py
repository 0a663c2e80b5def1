"""The AsyncAPI document describes the feed as it is: every kind of event, and what really travels."""

import re
from typing import Any

import jsonschema_rs
import orjson
import pytest

from adapters.nats.cdevents import TYPES, Known, has_twins, twin_message, twins
from adapters.nats.cloudevents import message
from entrypoints.http.asyncapi import async_document
from tests.contracts.test_events import LANDED, RECORDED
from tests.feed.ground import event
from tests.http.test_documentation import references

DOCUMENT = async_document()
NAME = re.compile(r"[\w.\-]+")


def schema(name: str) -> jsonschema_rs.Draft202012Validator:
    """One of the document's schemas, with all that it refers to."""
    whole = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(whole)


def followed(reference: str) -> Any:
    """What a reference leads to."""
    found: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def test_it_is_an_asyncapi_document_of_version_3() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["info"].keys() >= {"title", "version"}
    assert all(server.keys() >= {"host", "protocol"} for server in DOCUMENT["servers"].values())
    for names in (DOCUMENT["channels"], DOCUMENT["operations"], *DOCUMENT["components"].values()):
        assert all(NAME.fullmatch(name) for name in names)
    assert all(channel["address"] and channel["messages"] for channel in DOCUMENT["channels"].values())


def test_every_reference_leads_somewhere() -> None:
    assert references(DOCUMENT)
    for reference in references(DOCUMENT):
        assert isinstance(followed(reference), dict)


def test_every_operation_sends_messages_of_its_channel() -> None:
    assert DOCUMENT["operations"].keys() == DOCUMENT["channels"].keys()
    for name, operation in DOCUMENT["operations"].items():
        assert operation["action"] == "send"
        assert operation["channel"]["$ref"] == f"#/channels/{name}"
        assert all(one["$ref"].startswith(f"#/channels/{name}/messages/") for one in operation["messages"])


def test_parameters_of_an_address_are_described() -> None:
    for channel in DOCUMENT["channels"].values():
        assert set(re.findall(r"\{(\w+)\}", channel["address"])) == channel.get("parameters", {}).keys()


@pytest.mark.parametrize("topic", LANDED)
def test_every_kind_of_event_that_has_landed_is_described_with_its_version_and_fields(topic: str) -> None:
    version, fields = LANDED[topic]
    assert DOCUMENT["channels"][topic]["address"] == f"rollbook.{{organisation}}.{topic}"
    described = DOCUMENT["components"]["messages"][topic]
    assert (described["x-schema-version"], described["x-dataschema"]) == (version, f"urn:rollbook:{topic}:{version}")
    payload = followed(described["payload"]["$ref"])
    assert list(payload["properties"]) == payload["required"] == fields.split()
    assert payload["description"]


@pytest.mark.parametrize(("topic", "version", "payload"), RECORDED)
def test_what_was_recorded_is_as_described(topic: str, version: str, payload: str) -> None:
    if int(version) == LANDED[topic][0]:
        schema(topic).validate(orjson.loads(payload))


def test_what_is_not_as_described_is_refused() -> None:
    assert not schema("deployment.claimed").is_valid({"runner": "r", "fence": "1", "lease_until": "", "override": None})
    assert not schema("deployment.claimed").is_valid({"runner": "r", "fence": 1, "override": None})
    assert not schema("EventHeaders").is_valid({"ce-id": "x"})


def test_messages_carry_the_headers_that_are_described() -> None:
    cause = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "correlation_id": "c"}
    headers = message(event(7, topic="deployment.deployed", envelope={"cause": cause}), "store", 1).headers
    schema("EventHeaders").validate(headers)
    assert headers.keys() <= followed("#/components/schemas/EventHeaders")["properties"].keys()


def test_twins_are_as_described() -> None:
    assert DOCUMENT["channels"].keys() >= TYPES.keys()
    for topic, _, payload in RECORDED:
        if has_twins(topic):
            told = event(7, topic=topic, payload=payload.encode(), stream_id="deployment-1f0c")
            for twin in twins(told, Known("shop", version="2", environment="production")):
                sent = twin_message(told, twin, "store", 1)
                described = DOCUMENT["components"]["messages"][twin.type]
                jsonschema_rs.Draft202012Validator(described["payload"]).validate(orjson.loads(sent.payload))
                schema("TwinHeaders").validate(sent.headers)
