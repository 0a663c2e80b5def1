"""What Rollbook does by itself is recorded as its own doing, in a trace of its own."""

from contextvars import ContextVar
from typing import TYPE_CHECKING

from adapters.tracing import trace_id, traceparent_of
from application.caller import Origin
from application.ports.event_store import Circumstances

if TYPE_CHECKING:
    from entrypoints.composition import Rollbook

ACTOR = "rollbook"
_correlation: ContextVar[str | None] = ContextVar("correlation", default=None)


def act_because_of(correlation_id: str | None) -> None:
    """What the present task does from here on, and whatever it starts, is recorded as a consequence of that."""
    _correlation.set(correlation_id)


async def circumstances(rollbook: "Rollbook", organisation: str, interface: str) -> Circumstances:
    """Rollbook itself acts."""
    traceparent = traceparent_of(None)
    return Circumstances(
        actor=await rollbook.people.actor(organisation, ACTOR),
        origin=Origin(interface=interface).facts(),
        occurred_at=rollbook.executor.clock(),
        correlation_id=_correlation.get() or trace_id(traceparent),
        traceparent=traceparent,
    )
