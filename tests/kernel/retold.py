"""A second opinion on read models: every row told anew from the raw bytes of the log, with none of our own folding."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.kernel import retold_fleet as fleet
from tests.kernel import retold_incidents as incidents
from tests.kernel import retold_live as live
from tests.kernel import retold_packages as packages
from tests.kernel import retold_webhooks as webhooks
from tests.kernel.log_words import Document, Event, at, lane_of, last, newest, own_id, said

FOR_EVER = 2**63 - 1
STATUS_AFTER = {
    "deployment.scheduled": "scheduled",
    "deployment.rescheduled": "scheduled",
    "deployment.claim_lapsed": "scheduled",
    "deployment.started": "in_progress",
    "deployment.claimed": "in_progress",
    **{f"deployment.{s}": s for s in ("deployed", "failed", "skipped", "cancelled", "rolled_back")},
}
SAID_AT_FIRST = (
    *("trigger", "number", "notes", "deployment_uri", "source_deployment_id", "rollback_from_deployment_id"),
    *("created_by_repo", "created_by_workflow"),
)


@dataclass(frozen=True)
class Version:
    """A row as it was from one position up to, not including, another."""

    key: str
    organisation: str
    from_position: int
    to_position: int
    document: Document


def deployment(events: list[Event], log: list[Event]) -> Document:
    """A deployment, each member looked up in the events that set it."""
    first, now = events[0], events[-1]
    scheduled, moved = said(first), newest(events, *STATUS_AFTER)
    claimed, skipped = last(events, "deployment.claimed"), moved["topic"] == "deployment.skipped"
    held = said(moved) if moved["topic"] == "deployment.claimed" else {"runner": None, "lease_until": None}
    document = {
        **scheduled["taxonomy"],
        **scheduled["release"],
        **{name: scheduled[name] for name in SAID_AT_FIRST},
        "id": own_id(first),
        "organisation": first["organisation"],
        "created_at": at(first),
        "updated_at": at(now),
        "status": STATUS_AFTER[moved["topic"]],
        "auto": scheduled["trigger"] == "auto",
        "actor": first["told"]["actor"]["id"],
        "skipped_by": said(moved)["skipped_by"] if skipped else None,
        "skip_rule": said(moved)["rule"] if skipped else None,
        "approved": last(events, "deployment.approved") is not None,
        "claimed_by": held["runner"],
        "lease_until": held["lease_until"],
        "fence": said(claimed)["fence"] if claimed else 0,
        "lane_id": lane_of(first, log),
        "version_number": now["version"],
        "created_position": first["position"],
        "position": now["commit_position"],
    }
    for event in events:
        if event["topic"] == "deployment.annotated":
            document |= said(event)["changes"]
    return document


def lane(events: list[Event], _: list[Event]) -> Document:
    """A lane: who is live is who went live last, unless it has left since."""
    held = last(events, "lane.held", "lane.released")
    live: list[Document] = []
    gone: list[Document] = []
    running: dict[str, Document] = {}
    for event in (e for e in events if e["topic"] == "lane.deployment_moved"):
        entry = said(event)["entry"]
        who = entry["deployment_id"]
        seen = {n: entry[n] for n in ("deployment_id", "version", "environment", "trigger")} | {"since": at(event)}
        running.pop(who, None)
        if entry["status"] == "in_progress":
            running[who] = seen
        went_live = entry["status"] == "deployed"
        leaves = [d for d in live if (d["deployment_id"] != who) == went_live]
        gone, live = [*leaves, *gone], [seen] if went_live else [d for d in live if d not in leaves]
    return {
        **said(events[0])["taxonomy"],
        "id": own_id(events[0]),
        "organisation": events[0]["organisation"],
        "live": live[0] if live else None,
        "in_progress": list(running.values()),
        "previous": gone[:10],
        "held": said(held)["hold"] if held and held["topic"] == "lane.held" else None,
        "created_position": events[0]["position"],
    }


def freeze(events: list[Event], _: list[Event]) -> Document:
    """A freeze, and how it ended; in stories one comes again under its old id, and is a new one."""
    declared = last(events, "freezes.declared") or events[0]
    lifted = last(events[events.index(declared) :], "freezes.lifted")
    return {
        **said(declared)["freeze"],
        "created_at": at(declared),
        "created_position": declared["position"],
        "lifted_at": at(lifted) if lifted else None,
        "lifted_by": lifted["told"]["actor"]["id"] if lifted else None,
        "lift_reason": said(lifted)["reason"] if lifted else None,
    }


def freeze_id(event: Event) -> str | None:
    """Which freeze an event is about."""
    told = said(event)
    return {"freezes.declared": told.get("freeze", {}).get("id"), "freezes.lifted": told.get("freeze_id")}.get(
        event["topic"]
    )


def token(events: list[Event], _: list[Event]) -> Document:
    """A token, and when it was revoked."""
    issued, revoked = events[0], last(events, "token.revoked")
    return {
        **said(issued),
        "id": own_id(issued),
        "created_at": at(issued),
        "created_position": issued["position"],
        "revoked_at": at(revoked) if revoked else None,
    }


def of_stream(kind: str) -> Callable[[Event], str | None]:
    """Rows that are keyed by the streams of one aggregate."""
    return lambda event: own_id(event) if event["stream_id"].startswith(f"{kind}-") else None


TOLD: dict[str, tuple[Callable[[Event], str | None], Callable[[list[Event], list[Event]], Document]]] = {
    "deployments": (of_stream("deployment"), deployment),
    "lanes": (of_stream("lane"), lane),
    "live": (live.place, live.live_there),
    "live_intervals": (of_stream("deployment"), live.stretches),
    "fleet_lanes": (of_stream("lane"), fleet.lane),
    "freezes": (freeze_id, freeze),
    "tokens": (of_stream("token"), token),
    "jobs": (of_stream("job"), packages.job),
    "environments": (of_stream("environment"), packages.environment),
    "packages": (of_stream("package"), packages.package),
    "package_actions": (packages.action_id, packages.action),
    "data_deployments": (of_stream("data_deployment"), packages.data_deployment),
    "incidents": (of_stream("incident"), incidents.incident),
    "incident_links": (incidents.link_id, incidents.link),
    "teams": (of_stream("teams"), incidents.teams),
    "dora": (incidents.deployment_id, incidents.dora),
    "webhooks": (of_stream("webhook"), webhooks.webhook),
}


def export(events: list[Event], _: list[Event]) -> Document:
    """An export of the record, which nothing changes."""
    first = events[0]
    told = {name: value for name, value in said(first).items() if name != "organisation"}
    return {**told, "id": own_id(first), "created_at": at(first), "created_position": first["position"]}


TOLD["audit_exports"] = (of_stream("audit_export"), export)


def retell(log: list[Event], model: str) -> list[Version]:
    """All versions of all rows, by key and start. Rows change between commits, never within one."""
    key_of, tell = TOLD[model]
    stories: dict[str, list[Event]] = {}
    for event in log:
        if key := key_of(event):
            stories.setdefault(key, []).append(event)
    found = [v for key, events in stories.items() for v in versions(key, events, lambda past: tell(past, log))]
    return sorted(found, key=lambda v: (v.key, v.from_position))


def versions(key: str, events: list[Event], tell: Callable[[list[Event]], Document]) -> list[Version]:
    """One row through its commits; what changes nothing makes no version."""
    changes: list[tuple[int, Document]] = []
    for commit in sorted({e["commit_position"] for e in events}):
        document = tell([e for e in events if e["commit_position"] <= commit])
        if not changes or changes[-1][1] != document:
            changes.append((commit, document))
    ends = [commit for commit, _ in changes[1:]] + [FOR_EVER]
    organisation = events[0]["organisation"]
    return [Version(key, organisation, c, end, d) for (c, d), end in zip(changes, ends, strict=True)]


def as_of(told: list[Version], organisation: str, position: int) -> list[Document]:
    """What an organisation's rows were at a position, newest first."""
    valid = [v for v in told if v.organisation == organisation and v.from_position <= position < v.to_position]
    return sorted((v.document for v in valid), key=lambda d: -int(d["created_position"]))
