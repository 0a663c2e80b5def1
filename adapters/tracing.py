"""Traces by W3C trace context; spans leave this process only when an OTLP endpoint is configured."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_exporting = False


def configure_tracing(endpoint: str | None) -> None:
    """Exports spans to an OTLP endpoint over HTTP, if there is one."""
    global _exporting
    if endpoint and not _exporting:
        # Imported late: it is slow to load, and most never need it.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider = TracerProvider(resource=Resource.create({"service.name": "rollbook"}))
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        provider.add_span_processor(BatchSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        _exporting = True


def new_traceparent(incoming: str | None) -> str:
    """Goes on with a valid traceparent, or starts a trace; either way this request is a span of its own."""
    if incoming and TRACEPARENT.fullmatch(incoming):
        return f"{incoming[:36]}{secrets.token_hex(8)}{incoming[52:]}"
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def trace_id(traceparent: str) -> str:
    """The 32 hex digits that all spans of a trace share."""
    return traceparent[3:35]


@contextmanager
def span(name: str, traceparent: str) -> Iterator[None]:
    """A span in the trace, where spans are exported at all."""
    if not _exporting:
        yield
        return
    with trace.get_tracer("rollbook").start_as_current_span(name, extract({"traceparent": traceparent})):
        yield
