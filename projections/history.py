"""A deployment's events in words: who, when, what, why, from which run."""

from typing import Any

from domain.recorded import RecordedEvent
from projections.read_model import moment

WORDS = {
    "deployment.scheduled": "Scheduled {version} ({trigger}) for {environment}",
    "deployment.started": "Started",
    "deployment.claimed": "Claimed by runner {runner}",
    "deployment.claim_lapsed": "Returned to the queue: its runner was not heard of in time",
    "deployment.deployed": "Went live",
    "deployment.failed": "Failed",
    "deployment.skipped": "Skipped",
    "deployment.cancelled": "Cancelled",
    "deployment.rolled_back": "Rolled back",
    "deployment.rescheduled": "Scheduled again",
    "deployment.annotated": "Changed {changed}",
    "deployment.approved": "Approved",
    "deployment.corrected": "Corrected: went live at {went_live_at}",
}


def entry_in_words(event: RecordedEvent) -> dict[str, Any]:
    """One entry of a history; `actor` is a pseudonym."""
    origin = event.envelope["origin"]
    return {
        "position": event.position,
        "topic": event.topic,
        "summary": summary(event.topic, event.data),
        "at": moment(event.occurred_at),
        "recorded_at": moment(event.recorded_at),
        "actor": event.envelope["actor"]["id"],
        "reason": event.data.get("reason") or event.data.get("override") or event.data.get("rule"),
        "run": {name: origin.get(name) for name in ("repository", "workflow", "run_id", "run_attempt", "sha", "ref")},
        "interface": origin.get("interface"),
        "data": event.data,
        "decision": event.envelope.get("decision"),
        "cause": event.envelope["cause"],
        "event_id": str(event.event_id),
        "hash": event.hash.hex(),
        "schema_version": event.schema_version,
        "commit_position": event.commit_position,
    }


def summary(topic: str, data: dict[str, Any]) -> str:
    """What happened, in a few words."""
    facts = {**data.get("release", {}), **data, "changed": " and ".join(data.get("changes", {}))}
    text = WORDS.get(topic, topic).format_map(facts)
    if data.get("skipped_by"):
        text += f": superseded by {data['skipped_by']} ({data['rule']})"
    if data.get("replaced_by"):
        text += f": replaced by {data['replaced_by']}"
    if data.get("override"):
        text += f", overriding a freeze: {data['override']}"
    return text
