"""What a deployment would do to each table, with some rows of each kind."""

from collections.abc import Mapping
from typing import Any

from psycopg import sql

from adapters.databases.postgresql import marks
from adapters.databases.postgresql.deploying import Deployment
from adapters.databases.postgresql.drifting import drifted
from adapters.databases.postgresql.staging import Stage
from adapters.databases.postgresql.writing import changing
from application.ports.databases import Difference

SAMPLES = 5


async def differences(deployment: Deployment) -> Mapping[str, Difference]:
    """By table; the transaction is to be taken back."""
    await marks.prepare(deployment.connection, deployment.order.package)
    await deployment.prepare()
    await deployment.stage()
    return {name: await difference(deployment, stage) for name, stage in deployment.stages.items()}


async def difference(deployment: Deployment, stage: Stage) -> Difference:
    """Of one table. A conflict is a row that the package would change, and somebody changed it since it was left."""
    conflict = await drifted(deployment.connection, stage) or sql.SQL("false")
    changed = changing(stage) if stage.key else sql.SQL("false")
    kinds = {
        "new": sql.SQL("s.found = 0"),
        "conflict": conflict,
        "changed": sql.SQL("({}) and not ({})").format(changed, conflict),
        "same": sql.SQL("s.found > 0 and not ({})").format(changed),
    }
    sources = with_target(stage)
    columns = [sql.SQL("count(*) filter (where {})").format(kind) for kind in kinds.values()]
    query = sql.SQL("select {} from {}").format(sql.SQL(", ").join(columns), sources)
    counts = await (await deployment.connection.execute(query)).fetchone() or [0] * len(kinds)
    found = dict(zip(kinds, map(int, counts), strict=True))
    samples = {n: await samples_of(deployment, stage, kind) for n, kind in kinds.items() if found[n] and n != "same"}
    return Difference(found["new"], found["changed"], found["same"], found["conflict"], samples)


def with_target(stage: Stage) -> sql.Composable:
    """The packaged rows with what they refer to, beside the target's."""
    if not stage.key:
        return stage.sources
    query = sql.SQL("{} left join {} t on s.found > 0 and {}")
    return query.format(stage.sources, stage.own_rows, stage.same_key())


async def samples_of(deployment: Deployment, stage: Stage, kind: sql.Composable) -> list[dict[str, Any]]:
    """Some rows of a kind: their key in the package, what they are there, and what they are in the target."""
    key = stage.source_key_text() if stage.source_key else sql.SQL("null::text")
    there = {name: sql.Identifier("t", name) for name in stage.names}
    packed = texts({name: stage.mapped(name) for name in stage.names})
    target = sql.SQL("case when s.found > 0 then {} end").format(texts(there)) if stage.key else sql.SQL("null")
    query = sql.SQL("select {}, {}, {} from {} where {} order by s.line limit {}")
    parts = (key, packed, target, with_target(stage), kind, SAMPLES)
    found = await (await deployment.connection.execute(query.format(*parts))).fetchall()
    return [{"key": key, "package": ours, "target": theirs} for key, ours, theirs in found]


def texts(values: Mapping[str, sql.Composable]) -> sql.Composed:
    """Values by column, as texts."""
    pairs = [sql.SQL("({}, ({})::text)").format(sql.Literal(name), value) for name, value in values.items()]
    query = sql.SQL("(select json_object_agg(b.name, b.value) from (values {}) b (name, value))")
    return query.format(sql.SQL(", ").join(pairs))
