"""The DORA figures counted by hand: from the raw events of the log, in memory, one by one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from tests.kernel.log_words import Event, at, own_id, said


@dataclass
class Deployment:
    """What became of a deployment."""

    name: str
    environment: str
    planned: bool
    rollback: bool
    committed_at: str | None
    rolls_back: str | None
    live: list[datetime] = field(default_factory=list)
    corrected: list[datetime] = field(default_factory=list)
    taken_back: bool = False

    @property
    def went_live_at(self) -> datetime | None:
        """A correction has the last word, else the first time counts."""
        return next(iter([*self.corrected[-1:], *self.live[:1]]), None)

    @property
    def lead(self) -> float | None:
        """From commit to live."""
        if self.committed_at is None or self.went_live_at is None:
            return None
        return (self.went_live_at - datetime.fromisoformat(self.committed_at)).total_seconds()


@dataclass
class Incident:
    """What became of an incident."""

    began_at: datetime
    ended_at: datetime | None = None
    links: set[tuple[str, str]] = field(default_factory=set)

    @property
    def lasted(self) -> float | None:
        """From beginning to end."""
        return None if self.ended_at is None else (self.ended_at - self.began_at).total_seconds()


@dataclass
class World:
    """What an organisation knows at one position."""

    deployments: dict[str, Deployment] = field(default_factory=dict)
    incidents: dict[str, Incident] = field(default_factory=dict)
    teams: dict[str, list[str]] = field(default_factory=dict)

    def related(self, one: str, relation: str) -> bool:
        """Whether any incident names the deployment so."""
        return any((one, relation) in incident.links for incident in self.incidents.values())


def world(log: list[Event], organisation: str, position: int) -> World:
    """Everything up to a position, event by event."""
    known = World()
    for event in log:
        if event["organisation"] == organisation and event["commit_position"] <= position:
            learn(known, event)
    return known


def learn(known: World, event: Event) -> None:
    """One event."""
    told, own = said(event), own_id(event)
    match event["topic"]:
        case "deployment.scheduled":
            release = told["release"]
            known.deployments[own] = Deployment(
                told["taxonomy"]["name"],
                release["environment"],
                not release["incident_id"],
                told["trigger"] == "rollback",
                release["committed_at"],
                told["rollback_from_deployment_id"],
            )
        case "deployment.deployed":
            known.deployments[own].live.append(datetime.fromisoformat(at(event)))
        case "deployment.corrected":
            known.deployments[own].corrected.append(datetime.fromisoformat(told["went_live_at"]))
        case "deployment.rolled_back" | "deployment.failed":
            known.deployments[own].taken_back |= bool(known.deployments[own].live)
        case "incident.reported":
            known.incidents[own] = Incident(datetime.fromisoformat(told["began_at"]))
        case "incident.resolved":
            known.incidents[own].ended_at = datetime.fromisoformat(told["ended_at"])
        case "incident.reopened":
            known.incidents[own].ended_at = None
        case "incident.linked":
            known.incidents[own].links.add((told["deployment_id"], told["relation"]))
        case "incident.unlinked":
            known.incidents[own].links.discard((told["deployment_id"], told["relation"]))
        case "teams.set":
            known.teams = told["teams"]


def percentile(values: list[float], share: float) -> float | None:
    """Between two neighbours in proportion."""
    if not values:
        return None
    values = sorted(values)
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


def spread(values: list[float]) -> dict[str, float | None]:
    """The middle, and what nine in ten do not exceed."""
    return {"median_seconds": percentile(values, 0.5), "p90_seconds": percentile(values, 0.9)}


def durations(incidents: list[Incident]) -> dict[str, Any]:
    """How long they lasted."""
    lasted = [i.lasted for i in incidents if i.lasted is not None]
    counts = {"incidents": len(incidents), "resolved": len(lasted), "open": len(incidents) - len(lasted)}
    return {**counts, **spread(lasted)}


def figures_between(known: World, meant: Callable[[Deployment], bool] | None, begin: datetime, end: datetime) -> Any:
    """The figures of one stretch of time."""
    chosen = {k: d for k, d in known.deployments.items() if meant is None or meant(d)}
    live = {k: d for k, d in chosen.items() if d.went_live_at and begin <= d.went_live_at < end}
    changes = [d for d in live.values() if not d.rollback]
    leads = [d.lead for d in changes if d.lead is not None]
    undone = {d.rolls_back for d in known.deployments.values() if d.went_live_at}
    back = {k for k, d in live.items() if d.taken_back or k in undone}
    causes = {k for k in live if known.related(k, "caused")}
    rework = [k for k, d in live.items() if d.rollback or not d.planned or known.related(k, "fixed")]
    broken = [
        i
        for i in known.incidents.values()
        if begin <= i.began_at < end and (meant is None or any(one in chosen for one, _ in i.links))
    ]
    caused = [i for i in broken if any(r == "caused" and (meant is None or one in chosen) for one, r in i.links)]
    days = (end - begin).total_seconds() / 86400
    return {
        "deployment_frequency": {"deployments": len(live), "days": days, "per_day": len(live) / days},
        "lead_time": {
            "changes": len(changes),
            "measured": len([s for s in leads if s >= 0]),
            "without_commit_time": len(changes) - len(leads),
            "committed_later": len([s for s in leads if s < 0]),
            **spread([s for s in leads if s >= 0]),
        },
        "change_failure_rate": {
            "failed": len(back | causes),
            "deployments": len(live),
            "rate": len(back | causes) / len(live) if live else None,
            "taken_back": len(back),
            "caused_incident": len(causes),
        },
        "time_to_restore": durations(broken),
        "failed_deployment_recovery_time": durations(caused),
        "rework_rate": {
            "rework": len(rework),
            "deployments": len(live),
            "rate": len(rework) / len(live) if live else None,
        },
    }


def answers(known: World, meant: Callable[[Deployment], bool] | None, bounds: list[datetime]) -> Any:
    """The whole, and each part."""
    series = [figures_between(known, meant, *part) for part in pairwise(bounds)]
    return {"totals": figures_between(known, meant, bounds[0], bounds[-1]), "series": series}
