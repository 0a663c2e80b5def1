"""Rows that are not as this package last left them: somebody changed them since."""

from typing import Any

import orjson
from psycopg import AsyncConnection, sql

from adapters.databases.postgresql.staging import Stage
from adapters.databases.postgresql.writing import changing

LEFT_BY = """
select distinct d.number, d.tables::json ->> %s
  from rollbook_packages.deployments d join rollbook_packages.parts p on p.package = d.package where p.part = %s
"""


async def drifted(connection: AsyncConnection[Any], stage: Stage) -> sql.Composable | None:
    """The condition that a row that would be changed drifted; None where nothing was left before. What was noted of
    a row is about the columns that were in the package then."""
    if stage.is_first or not (stage.source_key and stage.key):
        return None
    found = await (await connection.execute(LEFT_BY, [stage.name, stage.part])).fetchall()
    cases = cases_of(stage, {number: orjson.loads(columns) for number, columns in found if columns})
    if not cases:
        return None
    query = sql.SQL("""{} and exists (select from {} l where l.source_key = {} and ({}))""")
    parts = (changing(stage), stage.lineage, stage.source_key_text(), sql.SQL(" or ").join(cases))
    return query.format(*parts)


def cases_of(stage: Stage, left: dict[int, list[str]]) -> list[sql.Composable]:
    """For each set of columns, whether a row is another by them."""
    by_columns: dict[tuple[str, ...], list[int]] = {}
    for number, columns in left.items():
        if set(columns) <= set(stage.facts.types):
            by_columns.setdefault(tuple(columns), []).append(number)
    query = sql.SQL("l.left_by = any({}) and l.digest <> {}")
    return [
        query.format(sql.Literal(numbers), stage.facts.digest_of(list(columns)))
        for columns, numbers in by_columns.items()
    ]
