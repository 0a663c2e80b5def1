"""The log in the words of CDEvents 0.5: every twin has what the specification asks for, and nothing personal."""

import re
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
import pytest

from adapters.nats.cdevents import TYPES, Known, has_twins, twin_message, twins
from domain.aggregates import EVENTS
from tests.contracts.test_events import RECORDED
from tests.feed.ground import event

# The facts of the specification, told once more: type by type, the members of the subject's content, those that it
# must have first; as of 0.5 a context has `specversion`, a subject has no type, and addresses are called `uri`.
STANDARD = {
    "dev.cdevents.pipelinerun.queued.0.3.0": ({"pipelineName"}, {"uri"}),
    "dev.cdevents.pipelinerun.started.0.3.0": ({"pipelineName", "uri"}, set()),
    "dev.cdevents.pipelinerun.finished.0.3.0": ({"pipelineName", "outcome"}, {"uri", "errors"}),
    "dev.cdevents.environment.created.0.3.0": (set(), {"name", "uri"}),
    "dev.cdevents.environment.modified.0.3.0": (set(), {"name", "uri"}),
    "dev.cdevents.environment.deleted.0.3.0": (set(), {"name"}),
    "dev.cdevents.service.deployed.0.3.0": ({"environment", "artifactId"}, set()),
    "dev.cdevents.service.upgraded.0.3.0": ({"environment", "artifactId"}, set()),
    "dev.cdevents.service.rolledback.0.3.0": ({"environment", "artifactId"}, set()),
    "dev.cdevents.incident.detected.0.3.0": ({"environment"}, {"description", "service", "artifactId"}),
    "dev.cdevents.incident.reported.0.3.0": ({"environment", "ticketURI"}, {"description", "service", "artifactId"}),
    "dev.cdevents.incident.resolved.0.3.0": ({"environment"}, {"description", "service", "artifactId"}),
}
PERSONAL = [
    *("requested_by", "created_by", "reported_by", "ACME/shop", "too early", "sale", "look", "some description"),
    *("host-1", "Checkout is down", "it is back"),
]
OUTCOMES = {"success", "failure", "error"}
CUSTOM = re.compile(r"dev\.cdeventsx\.rollbook-[a-z]+\.[a-z]+\.\d+\.\d+\.\d+")
KNOWN = Known("shop", ("gcp", "eu"), "2", "production")
ALL = [(topic, payload) for topic, _, payload in RECORDED if has_twins(topic)]


def told(topic: str, payload: str, known: Known = KNOWN) -> list[dict[str, Any]]:
    """Every twin of a recorded event, as it goes over the wire."""
    recorded = event(7, topic=topic, payload=payload.encode(), stream_id="deployment-1f0c")
    return [orjson.loads(twin_message(recorded, twin, "store", 1).payload) for twin in twins(recorded, known)]


def kinds(topic: str, payload: str = "{}", known: Known = KNOWN) -> list[str]:
    """The types of the twins of an event."""
    return [one["context"]["type"] for one in told(topic, payload, known)]


@pytest.mark.parametrize(("topic", "payload"), ALL)
def test_a_twin_has_all_that_its_type_requires_and_nothing_that_it_does_not_know(topic: str, payload: str) -> None:
    assert told(topic, payload)
    for one in told(topic, payload):
        context, subject = one["context"], one["subject"]
        assert one.keys() == {"context", "subject", "customData", "customDataContentType"}
        assert context.keys() == {"specversion", "id", "source", "type", "timestamp", "chainId"}
        assert context["specversion"] == "0.5.0"
        assert context["id"] and urlsplit(context["source"]).path
        assert datetime.fromisoformat(context["timestamp"]).tzinfo
        assert subject.keys() == {"id", "source", "content"} and subject["id"]
        check_content(context["type"], subject["content"])


def check_content(kind: str, content: dict[str, Any]) -> None:
    """Raises unless the subject is as its type wants it."""
    if kind not in STANDARD:
        assert CUSTOM.fullmatch(kind) and set(TYPES[kind]) <= content.keys()
        return
    needed, allowed = STANDARD[kind]
    assert needed <= content.keys() <= needed | allowed
    assert content.get("outcome", "success") in OUTCOMES
    assert content.get("environment", {"id": "x"}).keys() == {"id"} and content.get("environment", {"id": "x"})["id"]
    assert re.fullmatch(r"pkg:generic/[^/@]+@[^/@]+", content.get("artifactId", "pkg:generic/a@1"))
    assert urlsplit(content.get("uri", "urn:uuid:1")).scheme


def test_what_a_deployment_becomes_is_told_by_what_was_there_before() -> None:
    finished = "dev.cdevents.pipelinerun.finished.0.3.0"
    assert kinds("deployment.deployed") == [finished, "dev.cdevents.service.deployed.0.3.0"]
    lived = Known("shop", lived=True)
    assert kinds("deployment.deployed", known=lived) == [finished, "dev.cdevents.service.upgraded.0.3.0"]
    back = Known("shop", rollback=True, lived=True)
    assert kinds("deployment.deployed", known=back) == [finished, "dev.cdevents.service.rolledback.0.3.0"]
    assert kinds("data_deployment.deployed") == [finished]


def test_superseded_and_freeze_have_words_of_our_own() -> None:
    (superseded,) = told("deployment.skipped", '{"skipped_by":"1f0d","rule":"older"}')
    assert superseded["context"]["type"] == "dev.cdeventsx.rollbook-deployment.superseded.0.1.0"
    assert superseded["subject"]["content"]["supersededBy"] == "deployment-1f0d"
    assert kinds("deployment.skipped", '{"skipped_by":null,"rule":"reported"}') == [
        "dev.cdeventsx.rollbook-deployment.skipped.0.1.0"
    ]
    freeze = '{"freeze":{"id":"f","scope":{"name":"shop","region":null},"reason":"Ann","until":null,"by":"p"}}'
    (declared,) = told("freezes.declared", freeze)
    assert declared["subject"] == {
        "id": "f",
        "source": "/organisations/acme",
        "content": {"scope": {"name": "shop"}, "until": None},
    }


def test_a_job_is_a_run_that_may_wait_more_than_once() -> None:
    life = ("requested", "started", "worker_lost", "started", "retry_scheduled", "retried", "released", "completed")
    told_of = [kinds(f"job.{name}")[0].removeprefix("dev.cdevents.pipelinerun.").split(".")[0] for name in life]
    assert told_of == ["queued", "started", "queued", "started", "queued", "queued", "queued", "finished"]
    ends = ("completed", "failed", "cancelled", "timed_out")
    contents = [told(f"job.{name}", "{}", Known("PACKAGE_PACKING"))[0]["subject"]["content"] for name in ends]
    assert {one["pipelineName"] for one in contents} == {"PACKAGE_PACKING"}
    assert [one["outcome"] for one in contents] == ["success", "failure", "error", "error"]
    assert not has_twins("job.milestone_reached") and not has_twins("job.cancel_requested")


def test_an_incident_is_told_where_it_is_and_by_its_ticket() -> None:
    (alone,) = told("incident.reported", '{"title":"Ann broke it","reference":"INC-7"}', Known(""))
    assert alone["context"]["type"] == "dev.cdevents.incident.detected.0.3.0"
    assert alone["subject"]["content"] == {"environment": {"id": "unnamed"}}
    ticket = "https://tickets.example/INC-7"
    (reported,) = told("incident.reported", orjson.dumps({"reference": ticket}).decode())
    assert reported["context"]["type"] == "dev.cdevents.incident.reported.0.3.0"
    assert reported["subject"]["content"] == {
        "environment": {"id": "production"},
        "artifactId": "pkg:generic/shop@2",
        "service": {"id": "gcp/eu/shop"},
        "ticketURI": ticket,
    }
    assert kinds("incident.linked", '{"relation":"caused"}') == ["dev.cdevents.incident.detected.0.3.0"]
    assert kinds("incident.linked", '{"relation":"fixed"}') == []
    assert kinds("incident.resolved") == ["dev.cdevents.incident.resolved.0.3.0"]


def test_the_words_that_were_asked_for_are_all_there() -> None:
    told_of = {kind for topic, payload in ALL for kind in kinds(topic, payload)}
    told_of |= set(kinds("deployment.deployed", known=Known("shop", lived=True)))
    told_of |= set(kinds("deployment.deployed", known=Known("shop", rollback=True)))
    told_of |= set(kinds("deployment.skipped", '{"skipped_by":null}'))
    told_of |= set(kinds("incident.reported", '{"reference":"https://tickets.example/7"}'))
    assert told_of == set(TYPES)


def test_a_twin_leads_back_to_its_event_and_is_the_same_at_every_try() -> None:
    recorded = event(7, topic="deployment.failed", payload=b"{}", stream_id="deployment-1f0c")
    (twin,) = twins(recorded, KNOWN)
    one, again = twin_message(recorded, twin, "store", 1), twin_message(recorded, twin, "store", 1)
    assert one == again
    assert one.headers["Nats-Msg-Id"] == one.headers["ce-id"]
    data = orjson.loads(one.payload)["customData"]
    assert (data["position"], data["eventId"]) == (7, str(recorded.event_id))
    assert one.subject == "cdevents.acme.dev.cdevents.pipelinerun.finished.0.3.0"


def test_names_of_any_kind_stand_in_a_package_url() -> None:
    twin = told("deployment.deployed", "{}", Known("a/b@1", version="2+ü", environment="e"))[1]
    purl = twin["subject"]["content"]["artifactId"]
    assert purl == "pkg:generic/a%2Fb%401@2%2B%C3%BC"
    assert unquote(purl.rpartition("@")[2]) == "2+ü"


def test_every_topic_that_has_twins_is_an_event() -> None:
    assert {topic for topic, _ in ALL} == {topic for topic in EVENTS if has_twins(topic)}


def test_nothing_personal_is_in_a_twin() -> None:
    for topic, payload in ALL:
        said = orjson.dumps(told(topic, payload)).decode()
        assert not re.search("|".join(PERSONAL), said), topic
