"""Traces by W3C trace context; spans are made only when an OTLP endpoint is configured, else nothing is."""

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from threading import Thread
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from domain.errors import RollbookError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
# One batch may go back to as many traces as it has events.
MOST_LINKS = 1000
SHUTDOWN_SECONDS = 3.0
NOTHING: AbstractContextManager[None] = nullcontext()
_propagator = TraceContextTextMapPropagator()
_provider: "TracerProvider | None" = None
_tracer: trace.Tracer | None = None


def configure_tracing(endpoint: str | None) -> None:
    """Exports spans to an OTLP endpoint over HTTP, if there is one; OTEL_TRACES_SAMPLER chooses which."""
    global _provider, _tracer
    if not endpoint or _tracer:
        return
    # Imported late: they are slow to load, and most never need them.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    facts = {"service.name": "rollbook", "service.version": version("rollbook")}
    _provider = TracerProvider(resource=Resource.create(facts), span_limits=SpanLimits(max_links=MOST_LINKS))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    _provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = _provider.get_tracer("rollbook", version("rollbook"))


def stop_tracing() -> None:
    """Sends what is left, for a few seconds at most; from then on no spans are made."""
    global _provider, _tracer
    if _provider:
        # A collector that does not answer would be tried for longer than a process has for its end.
        ending = Thread(target=_provider.shutdown, name="last spans", daemon=True)
        ending.start()
        ending.join(SHUTDOWN_SECONDS)
    _provider = _tracer = None


def exporting() -> bool:
    """Whether spans are made at all."""
    return _tracer is not None


def new_traceparent(incoming: str | None) -> str:
    """Goes on with a valid traceparent, or starts a trace; either way this request is a span of its own."""
    if incoming and TRACEPARENT.fullmatch(incoming):
        return f"{incoming[:36]}{secrets.token_hex(8)}{incoming[52:]}"
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def traceparent_of(incoming: str | None) -> str:
    """The traceparent of the span that is open here; where none is made, what `new_traceparent` says."""
    if _tracer and (context := trace.get_current_span().get_span_context()).is_valid:
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    return new_traceparent(incoming)


def trace_id(traceparent: str) -> str:
    """The 32 hex digits that all spans of a trace share."""
    return traceparent[3:35]


def span(name: str, **attributes: str | int) -> AbstractContextManager[Span | None]:
    """A span within the one that is open here."""
    return opened(_tracer, name, attributes=attributes) if _tracer else NOTHING


def server_span(headers: Mapping[str, str], attributes: Mapping[str, str | int]) -> AbstractContextManager[Span | None]:
    """The span of a request; its parent is the caller's, if `headers` name a valid one."""
    if _tracer is None:
        return NOTHING
    valid = TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    context = _propagator.extract(headers if valid else {})
    name = str(attributes["http.request.method"])
    return opened(_tracer, name, context=context, kind=SpanKind.SERVER, attributes=dict(attributes))


def linked_span(
    name: str, traceparents: Iterable[str | None], **attributes: str | int
) -> AbstractContextManager[Span | None]:
    """The span of what consumes events: a trace of its own, linked to those that the events come from.

    `traceparents` is not looked at where no spans are made.
    """
    if _tracer is None:
        return NOTHING
    contexts = [context for one in dict.fromkeys(traceparents) if (context := context_of(one))]
    links = [Link(context) for context in contexts]
    return opened(_tracer, name, context=Context(), kind=SpanKind.CONSUMER, attributes=attributes, links=links)


@contextmanager
def opened(tracer: trace.Tracer, name: str, **facts: Any) -> Iterator[Span]:
    """A span that tells the kind of what broke it, never its message, which may quote a secret."""
    with tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False, **facts) as current:
        try:
            yield current
        except Exception as problem:
            current.set_attribute("error.type", type(problem).__name__)
            if not isinstance(problem, RollbookError):
                current.set_status(Status(StatusCode.ERROR))
            raise


def context_of(traceparent: str | None) -> SpanContext | None:
    """The span that a traceparent names, if it is valid."""
    if not traceparent or not TRACEPARENT.fullmatch(traceparent):
        return None
    flags = TraceFlags(int(traceparent[53:], 16))
    return SpanContext(int(traceparent[3:35], 16), int(traceparent[36:52], 16), is_remote=True, trace_flags=flags)


def answered(method: str, route: str, status: int) -> None:
    """Says on the request's span which route it took and how it ended."""
    if _tracer is None:
        return
    current = trace.get_current_span()
    if route != "unmatched":
        current.update_name(f"{method} {route}")
        current.set_attribute("http.route", route)
    current.set_attribute("http.response.status_code", status)
    if status >= 500:
        current.set_attribute("error.type", str(status))
        current.set_status(Status(StatusCode.ERROR))


def note(current: Any, **attributes: str | int) -> None:
    """Adds facts that are known late to a span, if one was made."""
    if current is not None:
        current.set_attributes(attributes)
