"""The DORA figures out of what was counted: each with its numerator and denominator, null where there is nothing."""

from dataclasses import dataclass, field
from typing import Any

# The slowest frequency of each band, in deployments a day, as DORA's report of 2024 describes its clusters.
BANDS = (("elite", 1.0), ("high", 1 / 7), ("medium", 1 / 30))


@dataclass(frozen=True, slots=True)
class Spread:
    """Durations in seconds: the middle one, and the one that nine in ten do not exceed."""

    median: float | None = None
    p90: float | None = None

    def told(self) -> dict[str, float | None]:
        """As answers name them."""
        return {"median_seconds": self.median, "p90_seconds": self.p90}


@dataclass(frozen=True, slots=True)
class Deployments:
    """What was counted of the deployments that went live in a part of a period."""

    deployments: int = 0
    changes: int = 0
    without_commit_time: int = 0
    committed_later: int = 0
    taken_back: int = 0
    caused_incident: int = 0
    failed: int = 0
    rework: int = 0
    lead: Spread = field(default_factory=Spread)


@dataclass(frozen=True, slots=True)
class Incidents:
    """What was counted of the incidents that began in a part of a period, and of those that a deployment caused."""

    incidents: int = 0
    resolved: int = 0
    caused: int = 0
    caused_resolved: int = 0
    restore: Spread = field(default_factory=Spread)
    recovery: Spread = field(default_factory=Spread)


def figures(found: Deployments, broken: Incidents, days: float) -> dict[str, Any]:
    """The figures of a part of a period that lasts so many days."""
    return {
        "deployment_frequency": frequency(found.deployments, days),
        "lead_time": lead_time(found),
        "change_failure_rate": {
            **ratio("failed", found.failed, found.deployments),
            "taken_back": found.taken_back,
            "caused_incident": found.caused_incident,
        },
        "time_to_restore": durations(broken.incidents, broken.resolved, broken.restore),
        "failed_deployment_recovery_time": durations(broken.caused, broken.caused_resolved, broken.recovery),
        "rework_rate": ratio("rework", found.rework, found.deployments),
    }


def frequency(deployments: int, days: float) -> dict[str, Any]:
    """How often something went live, and which of DORA's bands that is; none where nothing did."""
    per_day = deployments / days
    band = next((name for name, least in BANDS if per_day > least or per_day == least != 1), "low")
    return {"deployments": deployments, "days": days, "per_day": per_day, "band": band if deployments else None}


def lead_time(found: Deployments) -> dict[str, Any]:
    """From commit to live; a rollback brings an old change back, so it is none."""
    left_out = found.without_commit_time + found.committed_later
    return {
        "changes": found.changes,
        "measured": found.changes - left_out,
        "without_commit_time": found.without_commit_time,
        "committed_later": found.committed_later,
        **found.lead.told(),
    }


def ratio(called: str, some: int, deployments: int) -> dict[str, Any]:
    """So many of so many."""
    return {called: some, "deployments": deployments, "rate": some / deployments if deployments else None}


def durations(incidents: int, resolved: int, spread: Spread) -> dict[str, Any]:
    """How long incidents lasted; those that go on have no length yet."""
    return {"incidents": incidents, "resolved": resolved, "open": incidents - resolved, **spread.told()}
