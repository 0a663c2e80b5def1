"""What a deployment would do to a table, with a few rows of each kind to look at."""

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.databases.mysql.quoting import as_text, columns_of, key_shown
from adapters.databases.mysql.session import Session
from adapters.databases.mysql.staging import Stage
from adapters.databases.mysql.writing import drifted
from application.ports.databases import Difference

SAMPLES = 5


async def difference(session: Session, stage: Stage) -> Difference:
    """Of one table. A conflict is a row that the package would change, and somebody changed it since it was left."""
    drift = f"rollbook_conflict_{stage.number}"
    await session.execute(f"create temporary table {drift} (line bigint primary key) engine = innodb")
    if stage.key:
        await session.execute(f"insert into {drift} select distinct s.line from {drifted(stage)}")
    kinds = {
        "new": "not s.found",
        "conflict": "d.line is not null",
        "changed": "s.changed and d.line is null",
        "same": "s.found and not s.changed",
    }
    origin = f"{stage.temporary} s left join {drift} d on d.line = s.line"
    sums = ", ".join(f"coalesce(sum({kind}), 0)" for kind in kinds.values())
    found = dict(zip(kinds, map(int, await session.one(f"select {sums} from {origin}")), strict=True))
    samples = {
        name: await samples_of(session, stage, origin, kind)
        for name, kind in kinds.items()
        if found[name] and name != "same"
    }
    return Difference(found["new"], found["changed"], found["same"], found["conflict"], samples)


async def samples_of(session: Session, stage: Stage, origin: str, which: str) -> Sequence[Mapping[str, Any]]:
    """Some rows of a kind: their key in the package, what they are there, and what they are in the target."""
    names = [column.name for column in stage.columns]
    packed = [as_text(column, stage.final(column.name)) for column in stage.columns]
    theirs = [as_text(c, value) for c, value in zip(stage.columns, columns_of("t", stage.columns), strict=True)]
    if stage.key:
        origin += f" left join {stage.real} t on s.found and {stage.same()}"
    else:
        theirs = ["null"] * len(names)
    found = await session.rows(
        f"""select {key_shown("s.source_key")}, s.found, {", ".join([*packed, *theirs])}
              from {origin} where {which} order by s.line limit {SAMPLES}"""
    )
    return [
        {
            "key": key,
            "package": dict(zip(names, row[: len(names)], strict=True)),
            "target": dict(zip(names, row[len(names) :], strict=True)) if is_there and stage.key else None,
        }
        for key, is_there, *row in found
    ]
