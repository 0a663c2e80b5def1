"""Spans as an OTLP collector receives them over HTTP: parents, children, and links from what consumes events."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk import trace as sdk

from adapters import tracing
from adapters.embedded.nats import EmbeddedNats
from adapters.tracing import configure_tracing, exporting, stop_tracing
from entrypoints.workers.housekeeping import Housekeeping
from tests.conftest import Database, Running, running_rollbook, settings_for
from tests.management.collector import Collector, facts
from tests.management.collector import collector as collector
from tests.queue.conftest import ACME, Queue

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
INCOMING = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
BODY = {"name": "shop", "version": "1", "provider": "gcp", "environment": "production", "type": "k8s"}


@pytest.fixture
async def traced(collector: Collector, database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    """A Rollbook whose spans are exported."""
    async with running_rollbook(settings_for(tmp_path), database) as running:
        yield running


async def create(running: Running, **headers: str) -> Any:
    answer = await running.client.post("/v1/deployments", json=BODY, headers={**ACME, **headers})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_request_is_a_server_span_under_its_caller_with_the_command_within(
    traced: Running, collector: Collector
) -> None:
    await create(traced, **INCOMING)
    stop_tracing()
    server, command, append = (
        collector.one(name) for name in ("POST /v1/deployments", "command schedule_deployment", "append")
    )
    assert {span.trace_id.hex() for span in (server, command, append)} == {TRACE}
    assert server.parent_span_id.hex() == CALLER
    assert server.kind == Span.SPAN_KIND_SERVER
    assert (command.parent_span_id, append.parent_span_id) == (server.span_id, command.span_id)
    told = facts(server)
    assert (told["http.request.method"], told["http.route"]) == ("POST", "/v1/deployments")
    assert (told["http.response.status_code"], told["url.path"]) == (201, "/v1/deployments")
    assert facts(append)["rollbook.events"] == 3
    assert collector.resources[0]["service.name"] == "rollbook"


async def test_the_projector_and_the_relay_link_to_the_request_that_events_come_from(
    traced: Running, collector: Collector, nats_server: EmbeddedNats
) -> None:
    stop = asyncio.Event()
    relay = traced.app.relay(nats_server.url)
    relaying = asyncio.create_task(relay.run(stop))
    made = await create(traced, **INCOMING)
    await Queue(traced.client).show(made)
    async with asyncio.timeout(20):
        while min(relay.position, traced.app.views.visibility.position) < made["position"]:
            await asyncio.sleep(0.01)
    stop.set()
    await relaying
    stop_tracing()
    server = collector.one("POST /v1/deployments")
    for name in ("project", "relay publish"):
        (consumer,) = [span for span in collector.named(name) if span.links]
        assert [(link.trace_id, link.span_id) for link in consumer.links] == [(server.trace_id, server.span_id)]
        assert consumer.trace_id != server.trace_id
        assert consumer.parent_span_id == b""


async def test_a_policy_acts_in_a_trace_of_its_own_that_links_to_its_cause(
    traced: Running, collector: Collector
) -> None:
    queue = Queue(traced.client)
    await queue.create()
    claimed = await queue.claim()
    await Housekeeping(traced.app).lapse("acme", UUID(claimed["id"]), 1)
    assert (await queue.show(claimed))["status"] == "scheduled"
    stop_tracing()
    cause, policy = collector.one("POST /v1/deployments/claim"), collector.one("policy lapse_claim")
    assert [(link.trace_id, link.span_id) for link in policy.links] == [(cause.trace_id, cause.span_id)]
    within = [span for span in collector.named("append") if span.parent_span_id == policy.span_id]
    assert [span.trace_id for span in within] == [policy.trace_id] != [cause.trace_id]


async def test_spans_tell_refusals_from_faults_and_quote_nothing_hostile(
    traced: Running, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    await traced.client.get("/v1/deployments/none?token=hunter2", headers=ACME)
    await traced.client.request("PROPFIND", "/" + "x" * 1000, headers={**ACME, "traceparent": "00-nonsense"})

    async def break_down(*_: Any, **__: Any) -> None:
        raise RuntimeError("hunter2")

    monkeypatch.setattr(traced.app.people, "actor", break_down)
    assert (await traced.client.post("/v1/deployments", json=BODY, headers=ACME)).status_code == 500
    stop_tracing()
    refused = collector.one("GET /v1/deployments/{deployment_id}")
    unknown, broken = collector.one("_OTHER"), collector.one("POST /v1/deployments")
    assert refused.status.code == unknown.status.code == Status.STATUS_CODE_UNSET
    assert (broken.status.code, facts(broken)["error.type"]) == (Status.STATUS_CODE_ERROR, "500")
    assert len(str(facts(unknown)["url.path"])) == 200
    assert unknown.parent_span_id == b""
    assert not [span.name for span in collector.spans if "hunter2" in str(span)]


async def test_a_caller_that_does_not_sample_is_not_exported_but_goes_on_by_name(
    traced: Running, collector: Collector
) -> None:
    answer = await traced.client.get("/v1/nowhere", headers={"traceparent": f"00-{TRACE}-{CALLER}-00"})
    stop_tracing()
    assert answer.headers["x-trace-id"] == TRACE
    assert collector.spans == []


async def test_without_an_exporter_not_one_span_is_made(rollbook: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a span was made")

    monkeypatch.setattr(sdk.TracerProvider, "__init__", refuse)
    monkeypatch.setattr(sdk._Span, "__init__", refuse)
    monkeypatch.setattr("opentelemetry.trace.Link.__init__", refuse)
    monkeypatch.setattr("opentelemetry.trace.SpanContext.__new__", refuse)
    configure_tracing(None)
    made = await create(rollbook, **INCOMING)
    assert (await Queue(rollbook.client).show(made))["id"] == made["id"]
    assert not exporting()


def test_the_end_does_not_wait_for_a_collector_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "SHUTDOWN_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        configure_tracing(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with tracing.span("last"):
            pass
        stop_tracing()
        assert not exporting()
        assert "last spans" in {thread.name for thread in threading.enumerate()}
