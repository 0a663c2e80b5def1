"""How a request's trace goes on or begins."""

import pytest
from opentelemetry import trace

from adapters.tracing import linked_span, new_traceparent, span, trace_id

INCOMING = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


def test_a_trace_goes_on_under_a_span_of_its_own() -> None:
    ours = new_traceparent(INCOMING)
    assert trace_id(ours) == trace_id(INCOMING) == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert ours != INCOMING and len(ours) == len(INCOMING) and ours.endswith("-00")


@pytest.mark.parametrize(
    "incoming",
    [
        None,
        "",
        "nonsense",
        INCOMING.upper(),
        INCOMING + "\n",
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
    ],
)
def test_anything_else_starts_a_trace(incoming: str | None) -> None:
    first, second = new_traceparent(incoming), new_traceparent(incoming)
    assert trace_id(first) != trace_id(second)
    assert trace_id(new_traceparent(first)) == trace_id(first)


def test_no_span_is_made_while_nothing_exports_it() -> None:
    with span("append") as made, linked_span("project", [INCOMING]) as linked:
        assert made is linked is None
        assert trace.get_current_span() is trace.INVALID_SPAN
