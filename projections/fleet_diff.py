"""How two fleets differ, so that applying the difference to the first gives the second."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from projections.fleet import IDENTITY, Facts, freeze_order, in_force, newest_first, package_order
from projections.read_model import Row

MOMENT = ("position", "at")


def difference(before: Row, after: Row, also: Collection[str] = ()) -> Row:
    """Every lane and environment that differs, and the freezes and packages that came and went.

    Lanes in `also` are told of too where they stand as before.
    """
    old, new = by(before["lanes"], "id"), by(after["lanes"], "id")
    pairs = [(old.get(one), new.get(one)) for one in {**new, **old} if one in also or old.get(one) != new.get(one)]
    return {
        "from": {member: before[member] for member in MOMENT},
        "to": {member: after[member] for member in MOMENT},
        "lanes": sorted((lane_difference(one, other) for one, other in pairs), key=newest_first),
        "freezes": came_and_went(before["freezes"], after["freezes"], "id"),
        "packages": came_and_went(before["packages"], after["packages"], "deployment_id"),
    }


def narrowed(earlier: Facts, later: Facts) -> tuple[Facts, Facts]:
    """Both without lanes that cannot differ: no event since, nothing that waits, and the same freezes in force."""
    frozen = [{one["id"] for one in facts.freezes if in_force(one, facts.at)} for facts in (earlier, later)]
    if frozen[0] != frozen[1]:
        return earlier, later
    kept = {row["lane_id"] for facts in (earlier, later) for row, _ in facts.waiting}
    kept |= {lane["id"] for lane in later.lanes if lane["since_position"] > earlier.position}
    first, second = ([lane for lane in one.lanes if lane["id"] in kept] for one in (earlier, later))
    return replace(earlier, lanes=first), replace(later, lanes=second)


def lane_difference(before: Row | None, after: Row | None) -> Row:
    """One lane: whether it is held on each side, and each environment that differs; null where it is not there."""
    old, new = (by(lane["environments"], "environment") if lane else {} for lane in (before, after))
    differing = [name for name in sorted({**old, **new}) if old.get(name) != new.get(name)]
    return {
        **{member: (after or before or {})[member] for member in IDENTITY},
        "held": {"before": before and before["held"], "after": after and after["held"]},
        "environments": [{"environment": e, "before": old.get(e), "after": new.get(e)} for e in differing],
    }


def came_and_went(before: Sequence[Row], after: Sequence[Row], key: str) -> Row:
    """What is there only afterwards, and what was there only before; what changed is in both."""
    old, new = by(before, key), by(after, key)
    came = [one for name, one in new.items() if old.get(name) != one]
    return {"came": came, "went": [one for name, one in old.items() if new.get(name) != one]}


def apply(diff: Row, fleet: Row) -> Row:
    """The second fleet, made of the first and the difference; ValueError when it is not the difference from this."""
    if any(fleet[member] != diff["from"][member] for member in MOMENT):
        raise ValueError("The difference is from another fleet")
    lanes = by(fleet["lanes"], "id")
    for one in diff["lanes"]:
        lanes[one["id"]] = changed_lane(lanes.get(one["id"]), one)
    return {
        **diff["to"],
        "lanes": sorted((lane for lane in lanes.values() if lane["environments"]), key=newest_first),
        "freezes": sorted(exchanged(fleet["freezes"], diff["freezes"], "id"), key=freeze_order),
        "packages": sorted(exchanged(fleet["packages"], diff["packages"], "deployment_id"), key=package_order),
    }


def changed_lane(lane: Row | None, diff: Row) -> Row:
    """A lane after its difference; without environments it is gone."""
    environments = by(lane["environments"] if lane else (), "environment")
    for one in diff["environments"]:
        if environments.pop(one["environment"], None) != one["before"]:
            raise ValueError(f"{diff['name']} stood otherwise in {one['environment']}")
        if one["after"]:
            environments[one["environment"]] = one["after"]
    here = [environments[name] for name in sorted(environments)]
    return {**{member: diff[member] for member in IDENTITY}, "held": diff["held"]["after"], "environments": here}


def exchanged(before: Iterable[Row], diff: Row, key: str) -> list[Row]:
    """A list after what went and what came."""
    left = by(before, key)
    for one in diff["went"]:
        if left.pop(one[key], None) != one:
            raise ValueError(f"{one[key]} was not there as the difference tells it")
    return [*left.values(), *diff["came"]]


def by(rows: Iterable[Row], key: str) -> dict[str, Row]:
    """Rows by one of their members."""
    return {row[key]: row for row in rows}
