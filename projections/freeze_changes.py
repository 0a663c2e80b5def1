"""What happened to freezes between two moments: declared, lifted, or over because their time ran out."""

from collections.abc import Iterable
from datetime import datetime

from projections.read_model import Row


def freeze_changes(rows: Iterable[tuple[int, Row]], beyond: int, after: datetime, until: datetime) -> list[Row]:
    """Newest first; `rows` are freezes with the position since which each is as it is. `actor` is a pseudonym."""
    found = [one for since, row in rows for one in (*told(since, row, beyond), *ran_out(row, after, until))]
    return sorted(found, key=lambda one: (one["at"], one["freeze_id"]), reverse=True)


def told(since: int, row: Row, beyond: int) -> list[Row]:
    """What somebody did beyond a position."""
    found = []
    if row["created_position"] > beyond:
        by = {"actor": row["by"], "reason": row["reason"]}
        found.append({"kind": "declared", "position": row["created_position"], "at": row["created_at"], **by})
    if row["lifted_at"] and since > beyond:
        by = {"actor": row["lifted_by"], "reason": row["lift_reason"]}
        found.append({"kind": "lifted", "position": since, "at": row["lifted_at"], **by})
    return [{**one, **which(row)} for one in found]


def ran_out(row: Row, after: datetime, until: datetime) -> list[Row]:
    """Its time ran out within the span, unless somebody had lifted it; no event says so."""
    end = datetime.fromisoformat(row["until"]) if row["until"] else None
    lifted = datetime.fromisoformat(row["lifted_at"]) if row["lifted_at"] else None
    if end is None or not after < end <= until or (lifted and lifted <= end):
        return []
    facts = {"kind": "ran_out", "position": None, "at": row["until"], "actor": None, "reason": row["reason"]}
    return [{**facts, **which(row)}]


def which(row: Row) -> Row:
    """The freeze and what it covers."""
    return {"freeze_id": row["id"], "scope": row["scope"]}
