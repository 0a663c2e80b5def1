"""What Rollbook does by itself is recorded as its own doing, in a trace of its own."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from adapters.tracing import trace_id, traceparent_of
from application.caller import Origin
from application.ports.event_store import Circumstances

if TYPE_CHECKING:
    from entrypoints.composition import Rollbook

ACTOR = "rollbook"


async def circumstances(rollbook: "Rollbook", organisation: str, interface: str) -> Circumstances:
    """Rollbook itself acts."""
    traceparent = traceparent_of(None)
    return Circumstances(
        actor=await rollbook.people.actor(organisation, ACTOR),
        origin=Origin(interface=interface).facts(),
        occurred_at=datetime.now(UTC),
        correlation_id=trace_id(traceparent),
        traceparent=traceparent,
    )
