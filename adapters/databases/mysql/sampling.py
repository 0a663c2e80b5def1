"""What a deployment would do to a table, with a few rows of each kind to look at."""

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.databases.mysql.quoting import as_text, columns_of
from adapters.databases.mysql.session import Session
from adapters.databases.mysql.staging import Stage
from adapters.databases.mysql.writing import drifted
from application.ports.databases import Difference, Order

SAMPLES = 5
NEW, CHANGED = "not s.found and s.failed is null", "s.found and s.changed and s.failed is null"
SAME, EXISTING = "s.found and not s.changed and s.failed is null", "s.found and s.failed is null"


async def difference(session: Session, stage: Stage, order: Order) -> Difference:
    """How many rows are new, changed and the same, and how many a deployment would refuse to touch."""
    new, changed, same = [await count(session, stage, which) for which in (NEW, CHANGED, SAME)]
    conflict, in_conflict = await conflicts(session, stage, order)
    samples = {"new": await packaged(session, stage, NEW), "changed": await both(session, stage, CHANGED)}
    if conflict:
        samples["conflict"] = await both(session, stage, in_conflict)
    return Difference(new, changed, same, conflict, samples)


async def count(session: Session, stage: Stage, which: str) -> int:
    """How many rows there are of a kind."""
    return await session.count(f"select count(*) from {stage.temporary} s where {which}")


async def conflicts(session: Session, stage: Stage, order: Order) -> tuple[int, str]:
    """Rows that may neither be skipped nor updated, and rows that somebody changed since this package left them."""
    options = order.options
    if not (options.skip_existing or options.update_existing):
        return await count(session, stage, EXISTING), EXISTING
    if options.force or not options.update_existing or not stage.key:
        return 0, "false"
    lines = [int(row[0]) for row in await session.rows(f"select distinct s.line from {drifted(stage)} order by 1")]
    return len(lines), f"s.line in ({', '.join(map(str, lines[:SAMPLES])) or 'null'})"


async def packaged(session: Session, stage: Stage, which: str) -> Sequence[Mapping[str, Any]]:
    """Rows as they would be in the target."""
    names = [column.name for column in stage.columns]
    values = ", ".join(as_text(column, stage.final(column.name)) for column in stage.columns)
    query = f"select {values} from {stage.temporary} s where {which} order by s.line limit {SAMPLES}"
    return [dict(zip(names, row, strict=True)) for row in await session.rows(query)]


async def both(session: Session, stage: Stage, which: str) -> Sequence[Mapping[str, Any]]:
    """Rows as they are in the target, and as they would be."""
    if not stage.key:
        return await packaged(session, stage, which)
    names = [column.name for column in stage.columns]
    ours = [as_text(column, stage.final(column.name)) for column in stage.columns]
    theirs = [as_text(c, value) for c, value in zip(stage.columns, columns_of("t", stage.columns), strict=True)]
    found = await session.rows(
        f"""select {", ".join([*theirs, *ours])}
              from {stage.temporary} s straight_join {stage.real} t on {stage.same()}
             where {which} order by s.line limit {SAMPLES}"""
    )
    return [
        {
            "before": dict(zip(names, row[: len(names)], strict=True)),
            "after": dict(zip(names, row[len(names) :], strict=True)),
        }
        for row in found
    ]
