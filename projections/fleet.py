"""The fleet at one moment: what is live, runs, waits, is held and frozen in each lane and environment."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from projections.read_model import Row

TAXONOMY = ("name", "provider", "cloud_account_id", "region", "cell")
IDENTITY = ("id", *TAXONOMY, "created_position")
PACKAGE = ("package", "version", "environment", "database_name", "deployed_at")
FREEZE = ("id", "scope", "reason", "until", "by", "created_at")
# So much of a queue is shown; how long it is, is always told.
QUEUE_SHOWN = 20
Queues = dict[tuple[str, str], tuple[list[Row], int]]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a fleet is made of: rows as they were at one position.

    Lanes have the position since which they are so. `waiting` are deployments, newest first, each with the length of
    its queue. `environment` leaves out all others.
    """

    position: int
    at: datetime
    lanes: Sequence[Row]
    waiting: Sequence[tuple[Row, int]]
    freezes: Sequence[Row]
    packages: Sequence[Row]
    environment: str | None = None


def fleet_of(facts: Facts) -> Row:
    """The fleet, newest lane first; `by` of a freeze is a pseudonym."""
    freezes = [{name: one[name] for name in FREEZE} for one in facts.freezes if in_force(one, facts.at)]
    packages = [{"deployment_id": one["id"], **{name: one[name] for name in PACKAGE}} for one in facts.packages]
    queues = queues_of(facts.waiting)
    lanes = (lane_of(lane, queues, freezes, facts.environment) for lane in sorted(facts.lanes, key=newest_first))
    return {
        "position": facts.position,
        "at": facts.at.isoformat(timespec="microseconds"),
        "lanes": [lane for lane in lanes if lane["environments"]],
        "freezes": sorted(freezes, key=freeze_order),
        "packages": sorted(packages, key=package_order),
    }


def in_force(freeze: Row, at: datetime) -> bool:
    """Whether nobody has lifted it and its time has not run out."""
    return freeze["lifted_at"] is None and (freeze["until"] is None or datetime.fromisoformat(freeze["until"]) > at)


def queues_of(waiting: Sequence[tuple[Row, int]]) -> Queues:
    """What waits where, newest first, and how many there are."""
    found: Queues = {}
    for row, length in waiting:
        told = {m: row[m] for m in ("version", "trigger", "approved")}
        queue = found.setdefault((row["lane_id"], row["environment"]), ([], length))
        queue[0].append({"deployment_id": row["id"], **told, "since": row["created_at"]})
    return found


def lane_of(lane: Row, queues: Queues, freezes: Sequence[Row], environment: str | None) -> Row:
    """A lane with its environments in the order of their names."""
    names = [name for name in sorted(lane["environments"]) if environment in (None, name)]
    covering = [one for one in freezes if agrees(one["scope"], lane, TAXONOMY)]
    here = []
    for name in names:
        waiting, length = queues.get((lane["id"], name), ([], 0))
        frozen = sorted(one["id"] for one in covering if one["scope"]["environment"] in (None, name))
        queue = {"waiting": waiting, "waiting_count": length, "frozen": frozen}
        here.append({"environment": name, **lane["environments"][name], **queue})
    return {**{member: lane[member] for member in IDENTITY}, "held": lane["held"], "environments": here}


def agrees(scope: Row, lane: Row, members: Sequence[str]) -> bool:
    """Whether each member that a freeze names is the lane's."""
    return all(scope[member] in (None, lane[member]) for member in members)


def with_live(lanes: Sequence[Row], live: Iterable[Row]) -> list[Row]:
    """The lanes as if this had been live, and nothing else: what was true then, by what is known."""
    seen = ("deployment_id", "version", "environment", "trigger", "since")
    told = {(one["lane_id"], one["environment"]): {name: one[name] for name in seen} for one in live}
    return [{**lane, "environments": lived(lane, told)} for lane in lanes]


def lived(lane: Row, told: Mapping[tuple[str, str], Row]) -> Row:
    """The environments of a lane, each with what was live in it."""
    return {name: {**one, "live": told.get((lane["id"], name))} for name, one in lane["environments"].items()}


def newest_first(lane: Row) -> int:
    """The order of lanes."""
    return -int(lane["created_position"])


def freeze_order(freeze: Row) -> tuple[str, str]:
    """The order of freezes: the oldest first."""
    return freeze["created_at"], freeze["id"]


def package_order(package: Row) -> tuple[str, str, str]:
    """The order of packages: by environment and name."""
    return package["environment"], package["package"], package["deployment_id"]
