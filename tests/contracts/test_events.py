"""Events are for ever: what has landed keeps its topic, its version and its fields."""

from dataclasses import fields
from datetime import UTC, datetime
from inspect import getmembers, isclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from eventsourcing.domain import CanMutateAggregate

from adapters.postgres import codec
from adapters.postgres.codec import NOT_PAYLOAD
from domain.aggregates import AGGREGATES

LANDED = {
    "audit_export.requested": (1, "organisation kind from_position to_position filters requested_by"),
    "data_deployment.cancelled": (1, "action_id reason"),
    "data_deployment.deployed": (2, "action_id database_name tables keys mapped warnings kept"),
    "data_deployment.failed": (1, "action_id error"),
    "data_deployment.reinstated": (1, "after"),
    "data_deployment.replaced": (1, "by"),
    "data_deployment.requested": (
        1,
        "organisation package_id package version environment options due_at action_id requested_by",
    ),
    "data_deployment.requested_again": (1, "package_id environment options action_id requested_by"),
    "data_deployment.rollback_failed": (1, "action_id error"),
    "data_deployment.rollback_requested": (1, "package_id environment action_id reason force requested_by"),
    "data_deployment.rolled_back": (1, "action_id tables"),
    "data_deployment.started": (1, "action_id"),
    "deployment.annotated": (1, "changes"),
    "deployment.approved": (1, "reason"),
    "deployment.cancelled": (1, ""),
    "deployment.claim_lapsed": (1, "fence"),
    "deployment.claimed": (1, "runner fence lease_until override"),
    "deployment.corrected": (1, "went_live_at reason"),
    "deployment.deployed": (1, ""),
    "deployment.failed": (1, ""),
    "deployment.rescheduled": (1, ""),
    "deployment.rolled_back": (1, "replaced_by"),
    "deployment.scheduled": (
        1,
        "organisation taxonomy release number trigger notes deployment_uri source_deployment_id "
        "rollback_from_deployment_id requested_by created_by_repo created_by_workflow",
    ),
    "deployment.skipped": (1, "skipped_by rule"),
    "deployment.started": (1, "override"),
    "environment.added": (1, "kind dsn reader_dsn"),
    "environment.changed": (1, "dsn reader_dsn"),
    "environment.opened": (1, "organisation name"),
    "environment.removed": (1, ""),
    "freezes.declared": (1, "freeze"),
    "freezes.lifted": (1, "freeze_id reason"),
    "freezes.opened": (1, "organisation"),
    "incident.linked": (1, "deployment_id relation"),
    "incident.reopened": (1, "reason"),
    "incident.reported": (1, "organisation title began_at reference reported_by"),
    "incident.resolved": (1, "ended_at"),
    "incident.unlinked": (1, "deployment_id relation reason"),
    "installation.left": (1, "job_id"),
    "installation.occupied": (1, "job_id"),
    "installation.opened": (1, "organisation environment package"),
    "installation.topped": (1, "job_id deployment_id"),
    "installation.uncovered": (1, "job_id deployment_id"),
    "job.cancel_requested": (1, "reason"),
    "job.cancelled": (1, "reason"),
    "job.completed": (1, "result"),
    "job.failed": (1, "error"),
    "job.milestone_reached": (1, "name facts"),
    "job.released": (1, "fence"),
    "job.requested": (
        1,
        "organisation handler arguments prefix priority due_at timeout_seconds max_retries requested_by",
    ),
    "job.retried": (1, ""),
    "job.retry_scheduled": (1, "error due_at"),
    "job.started": (1, "attempt fence worker"),
    "job.timed_out": (1, "after_seconds"),
    "job.worker_lost": (1, "fence"),
    "lane.deployment_moved": (1, "entry"),
    "lane.held": (1, "hold"),
    "lane.opened": (1, "organisation taxonomy"),
    "lane.released": (1, "reason"),
    "lane.superseded": (1, "by below automatic_only"),
    "organisation.erased": (1, "reason"),
    "organisation.opened": (1, "organisation"),
    "organisation.owner_bound": (1, "owner"),
    "organisation.owner_rebound": (1, "owner previous reason"),
    "organisation.person_erased": (1, "person"),
    "package.defined": (
        1,
        "organisation name version package_type description environment selection metadata dependencies "
        "action_id requested_by",
    ),
    "package.deleted": (1, ""),
    "package.described": (1, "changes"),
    "package.export_failed": (1, "action_id format error"),
    "package.export_requested": (1, "action_id options requested_by"),
    "package.export_started": (1, "action_id"),
    "package.exported": (1, "action_id format size sha256 records"),
    "package.imported": (
        1,
        "organisation name version package_type description environment metadata dependencies packed "
        "original_id signed_by action_id requested_by",
    ),
    "package.packing_failed": (1, "action_id error"),
    "package.packing_finished": (1, "action_id packed"),
    "package.packing_started": (1, "action_id"),
    "package.validated": (1, "action_id environment options tables error requested_by"),
    "rules.opened": (1, "organisation"),
    "rules.set": (1, "rules"),
    "teams.opened": (1, "organisation"),
    "teams.set": (1, "teams"),
    "token.issued": (1, "organisation name role scope expires_at sha256 owner"),
    "token.revoked": (1, ""),
    "webhook.changed": (1, "changes"),
    "webhook.paused": (1, "reason rule"),
    "webhook.removed": (1, "reason"),
    "webhook.resumed": (1, ""),
    "webhook.secret_rotated": (1, ""),
    "webhook.subscribed": (1, "organisation name host filters subscribed_by"),
}

# One event of each kind as it was recorded, with all that may stand in it: topic, version, payload. A line is for ever.
RECORDED = [tuple(line.split(" ", 2)) for line in (Path(__file__).parent / "recorded.txt").read_text().splitlines()]


def events() -> dict[str, tuple[int, str]]:
    """Topic, version and fields of every event that there is."""
    found: dict[str, tuple[int, str]] = {}
    for aggregate in AGGREGATES:
        for name, member in getmembers(aggregate, isclass):
            if issubclass(member, CanMutateAggregate) and name != "Event":
                event: Any = member
                names = [f.name for f in fields(event) if f.name not in NOT_PAYLOAD]
                found[event.TOPIC] = (getattr(event, "class_version", 1), " ".join(names))
    return found


def test_no_event_that_has_landed_is_changed_or_missing() -> None:
    assert events() == LANDED


def test_each_kind_of_event_that_has_landed_is_on_record() -> None:
    assert {(topic, int(version)) for topic, version, _ in RECORDED} >= {(t, v) for t, (v, _) in LANDED.items()}


@pytest.mark.parametrize(("topic", "version", "payload"), RECORDED)
def test_what_was_recorded_is_read_and_would_be_recorded_the_same_again(topic: str, version: str, payload: str) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    event: Any = codec.decode(topic, int(version), payload.encode(), UUID(int=7), 1, at)
    assert (event.TOPIC, event.originator_id, event.originator_version) == (topic, UUID(int=7), 1)
    if int(version) == LANDED[topic][0]:
        assert codec.encode_payload(event).decode() == payload
