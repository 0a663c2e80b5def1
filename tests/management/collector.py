"""An OTLP receiver on a loopback port: decodes what real exporters send it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from gzip import decompress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from adapters import tracing
from adapters.tracing import configure_tracing, stop_tracing


@dataclass
class Collector:
    """Spans as they came over the wire."""

    endpoint: str = ""
    spans: list[Any] = field(default_factory=list)
    resources: list[dict[str, str]] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        """One export."""
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append({a.key: a.value.string_value for a in resource.resource.attributes})
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def named(self, start: str) -> list[Any]:
        """The spans whose names begin so, in the order in which they began."""
        found = [span for span in self.spans if span.name.startswith(start)]
        return sorted(found, key=lambda span: span.start_time_unix_nano)

    def one(self, name: str) -> Any:
        """The only span of this name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found


def facts(span: Any) -> dict[str, str | int]:
    """A span's attributes."""
    return {a.key: a.value.string_value or a.value.int_value for a in span.attributes}


@contextmanager
def otlp_receiver() -> Iterator[Collector]:
    """Listens at `endpoint` until the block ends."""
    collector = Collector()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            collector.take(decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    collector.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector, with tracing configured to send to it, however long that takes."""
    monkeypatch.setattr(tracing, "SHUTDOWN_SECONDS", 60)
    with otlp_receiver() as receiving:
        configure_tracing(receiving.endpoint)
        yield receiving
        stop_tracing()
