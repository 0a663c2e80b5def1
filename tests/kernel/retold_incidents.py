"""A second opinion on incidents, teams and what the DORA figures are made of."""

from datetime import datetime
from typing import Any

from tests.kernel.log_words import Document, Event, at, last, own_id, said


def seconds_between(early: str, late: str) -> float:
    """How long that is."""
    return (datetime.fromisoformat(late) - datetime.fromisoformat(early)).total_seconds()


def incident(events: list[Event], _: list[Event]) -> Document:
    """An incident, and its end unless it was reopened since."""
    first, now, turned = events[0], events[-1], last(events, "incident.resolved", "incident.reopened")
    ended = said(turned)["ended_at"] if turned and turned["topic"] == "incident.resolved" else None
    return {
        **said(first),
        "id": own_id(first),
        "ended_at": ended,
        "resolved": ended is not None,
        "restore_seconds": seconds_between(said(first)["began_at"], ended) if ended else None,
        "created_at": at(first),
        "created_position": first["position"],
        "updated_at": at(now),
        "version_number": now["version"],
    }


def link_id(event: Event) -> str | None:
    """Which link an event is about."""
    if not event["topic"].startswith("incident.") or "relation" not in said(event):
        return None
    return f"{own_id(event)}/{said(event)['deployment_id']}/{said(event)['relation']}"


def link(events: list[Event], _: list[Event]) -> Document:
    """What a deployment has to do with an incident, if it still has."""
    first, now = events[0], events[-1]
    return {
        "incident_id": own_id(first),
        "deployment_id": said(first)["deployment_id"],
        "relation": said(first)["relation"],
        "created_position": first["position"],
        "linked": now["topic"].endswith(".linked"),
        "changed_at": at(now),
        "changed_by": now["told"]["actor"]["id"],
    }


def teams(events: list[Event], _: list[Event]) -> Document:
    """The teams that were named last."""
    named = last(events, "teams.set")
    return {"teams": said(named)["teams"] if named else {}, "created_position": events[0]["position"]}


def deployment_id(event: Event) -> str | None:
    """Deployments of packages count too."""
    return own_id(event) if event["stream_id"].split("-")[0] in ("deployment", "data_deployment") else None


def dora(events: list[Event], _: list[Event]) -> Document:
    """When it went live for the first time, and whether anybody took it back after that."""
    first, went_live, corrected = events[0], first_of(events, "deployed"), last(events, "deployment.corrected")
    after = events[events.index(went_live) :] if went_live else []
    back = first_of([e for e in after if e["topic"] != "data_deployment.failed"], "rolled_back", "failed")
    live_at = said(corrected)["went_live_at"] if corrected else at(went_live) if went_live else None
    about = about_of(said(first))
    committed = about["committed_at"]
    return {
        **about,
        "id": own_id(first),
        "organisation": first["organisation"],
        "for_incident": bool(about["incident_id"]),
        "went_live_at": live_at,
        "lead_seconds": seconds_between(committed, live_at) if committed and live_at else None,
        "taken_back": back is not None,
        "taken_back_at": at(back) if back else None,
        "created_position": first["position"],
    }


def first_of(events: list[Event], *words: str) -> Event | None:
    """The first event with one of these words behind its dot."""
    return next((e for e in events if e["topic"].split(".")[1] in words), None)


def about_of(told: dict[str, Any]) -> Document:
    """What is deployed where, and why."""
    release = told.get("release", told)
    return {
        "name": told["taxonomy"]["name"] if "taxonomy" in told else told["package"],
        "trigger": told.get("trigger", "manual"),
        "rolls_back": told.get("rollback_from_deployment_id"),
        **{name: release.get(name) for name in ("version", "environment", "committed_at", "incident_id")},
    }
