"""What happened in a lane, in words: each of its events with what the deployment's own event says of it."""

from collections.abc import Sequence
from typing import Any

from domain.recorded import RecordedEvent
from projections.read_model import Row, moment

KINDS = {
    "deployment.scheduled": "scheduled",
    "deployment.started": "started",
    "deployment.claimed": "started",
    "deployment.claim_lapsed": "lapsed",
    "deployment.deployed": "deployed",
    "deployment.failed": "failed",
    "deployment.skipped": "skipped",
    "deployment.cancelled": "cancelled",
    "deployment.rolled_back": "rolled_back",
    "deployment.rescheduled": "rescheduled",
    "deployment.approved": "approved",
    "deployment.corrected": "corrected",
    "lane.opened": "opened",
    "lane.superseded": "skipped",
    "lane.held": "held",
    "lane.released": "released",
}
OF_DEPLOYMENT = ("deployment_id", "version", "environment", "trigger")
NOBODY: Row = dict.fromkeys(OF_DEPLOYMENT)


def deployment_of(event: RecordedEvent) -> str | None:
    """The deployment whose own event of the same commit says more."""
    entry = event.data.get("entry")
    return entry["deployment_id"] if entry else None


def change_of(event: RecordedEvent, companion: RecordedEvent | None, skipped: Sequence[Row]) -> Row:
    """One event of a lane; `actor` is a pseudonym."""
    teller = companion or event
    entry = event.data.get("entry") or event.data.get("hold") or {}
    data = teller.data
    return {
        "position": event.position,
        "at": moment(event.occurred_at),
        "recorded_at": moment(event.recorded_at),
        "kind": KINDS.get(teller.topic, teller.topic),
        **{member: entry.get(member) for member in OF_DEPLOYMENT},
        "by_deployment": event.data.get("by") or data.get("replaced_by"),
        "skipped": list(skipped),
        "actor": event.envelope["actor"]["id"],
        "reason": data.get("reason") or data.get("override") or decided_by(teller),
    }


def decided_by(event: RecordedEvent) -> str | None:
    """The rule that decided, where a rule did."""
    decision: dict[str, Any] = event.envelope.get("decision") or {}
    rule: str | None = event.data.get("rule") or decision.get("rule")
    return rule
