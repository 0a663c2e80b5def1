"""Deployments as the DORA figures count them: when each went live, how long that took, what became of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from domain.recorded import RecordedEvent
from projections.read_model import Row, moment

BEGINNINGS = ("deployment.scheduled", "data_deployment.requested")
LIVE = ("deployment.deployed", "data_deployment.deployed")
# Whoever reports `failed` after it went live says that it had to be mended.
TAKEN_BACK = ("deployment.rolled_back", "deployment.failed", "data_deployment.rolled_back")
# All that figures without a component read: a month of them is then found on few pages.
COUNTED = "key, from_position, to_position, environment, trigger, lead_seconds, taken_back, for_incident"
NEVER_YET = {"went_live_at": None, "lead_seconds": None, "taken_back_at": None, "taken_back": False}


class Dora:
    """One row a deployment of any interface; it changes only when a figure does.

    It went live when it did so for the first time, or when a correction says that it did. `rolls_back` is the
    deployment that it goes back from, which thereby failed once this one is live.
    """

    name: ClassVar[str] = "dora"
    version: ClassVar[int] = 1
    aggregates: ClassVar[tuple[str, ...]] = ("deployment", "data_deployment")
    columns: ClassVar[Mapping[str, str]] = {
        "created_position": "bigint",
        "name": 'text collate "C"',
        "environment": 'text collate "C"',
        "trigger": 'text collate "C"',
        "went_live_at": "timestamptz",
        "lead_seconds": "double precision",
        "taken_back": "boolean",
        "for_incident": "boolean",
        "rolls_back": 'text collate "C"',
    }
    indexes: ClassVar[Mapping[str, str]] = {
        "live": f"btree (organisation, went_live_at) include ({COUNTED}) where went_live_at is not null",
        "component": "btree (organisation, name, went_live_at) where went_live_at is not null",
        "undone": "btree (organisation, rolls_back) where rolls_back is not null and went_live_at is not null",
    }

    def key(self, event: RecordedEvent) -> str | None:
        """Deployments are keyed by their own id, whichever interface they came through."""
        kind, _, own_id = event.stream_id.partition("-")
        return own_id if kind in ("deployment", "data_deployment") else None

    def fold(self, row: Row | None, event: RecordedEvent, data: dict[str, Any]) -> Row | None:
        """The beginning makes the row; what changes no figure leaves it as it is."""
        if event.topic in BEGINNINGS:
            return began(event, data)
        if row is None:
            raise ValueError(f"{event.topic} before its beginning")
        if event.topic in LIVE and row["went_live_at"] is None:
            return went_live(row, moment(event.recorded_at))
        if event.topic == "deployment.corrected":
            return went_live(row, data["went_live_at"])
        if event.topic in TAKEN_BACK and row["went_live_at"] and not row["taken_back"]:
            return {**row, "taken_back": True, "taken_back_at": moment(event.recorded_at)}
        return row


def began(event: RecordedEvent, data: dict[str, Any]) -> Row:
    """A new row; a package has no commit and is deployed because somebody says so."""
    if event.topic == "deployment.scheduled":
        release = data["release"]
        about = {"name": data["taxonomy"]["name"], "trigger": data["trigger"]}
        told = {name: release[name] for name in ("version", "environment", "committed_at", "incident_id")}
        told |= {"rolls_back": data["rollback_from_deployment_id"]}
    else:
        about = {"name": data["package"], "trigger": "manual"}
        told = {"committed_at": None, "incident_id": None, "rolls_back": None} | {
            n: data[n] for n in ("version", "environment")
        }
    own = {"id": event.stream_id.partition("-")[2], "organisation": event.organisation, **about, **told}
    return {**own, **NEVER_YET, "for_incident": bool(told["incident_id"]), "created_position": event.position}


def went_live(row: Row, at: str) -> Row:
    """The moment, and how long after its commit that was; below nothing where the commit says a later time."""
    committed = moment_of(row["committed_at"])
    lead = None if committed is None else (datetime.fromisoformat(at) - committed).total_seconds()
    return {**row, "went_live_at": at, "lead_seconds": lead}


def moment_of(text: str | None) -> datetime | None:
    """A moment with its offset; None where the text is none."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else None
