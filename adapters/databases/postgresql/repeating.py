"""The same rows again: when each is where the notes say that it went, there is nothing to bring."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection, sql

from adapters.databases.postgresql import marks
from adapters.databases.postgresql.progress import Telling
from adapters.databases.postgresql.staging import Stage, key_of_text
from adapters.databases.postgresql.writing import count
from application.ports.databases import Contents

FINGERPRINT = "select fingerprint from rollbook_packages.parts where part = %s"
KEEP = "update rollbook_packages.parts set fingerprint = %s where part = %s"


async def is_unchanged(connection: AsyncConnection[Any], stages: Sequence[Stage], contents: Contents) -> bool:
    """Whether all tables hold what was deployed last, and it is all there still."""
    for stage in stages:
        known = (await marks.one(connection, FINGERPRINT, [stage.part]))[0]
        if known is None or not (stage.key and stage.source_key):
            return False
        telling = Telling(lambda table, rows: None, stage.name)
        async for lines in contents.rows(stage.name):
            telling.read(lines)
        stage.rows = telling.rows
        if fingerprint(stage, telling) != known or await is_missing_some(connection, stage):
            return False
    return True


async def is_missing_some(connection: AsyncConnection[Any], stage: Stage) -> bool:
    """Whether somebody took out rows that were brought."""
    same = [sql.SQL("t.{} = {}").format(sql.Identifier(n), key_of_text(stage.key, stage.facts, n)) for n in stage.key]
    query = sql.SQL("select count(*) from {} l where not exists (select from {} t where {})")
    return await count(connection, query.format(stage.lineage, stage.real, sql.SQL(" and ").join(same))) > 0


async def keep_fingerprint(connection: AsyncConnection[Any], stage: Stage, telling: Telling, failed: int) -> None:
    """Keeps what was deployed, unless rows were left out."""
    await connection.execute(KEEP, [None if failed else fingerprint(stage, telling), stage.part])


def fingerprint(stage: Stage, telling: Telling) -> str:
    """What tells the rows of a table from others: their texts, what the columns are, how rows are told apart."""
    about = repr((stage.packed.packed_columns, stage.packed.primary_key, stage.match, stage.key, telling.rows))
    whole = telling.fingerprint.copy()
    whole.update(about.encode())
    return str(whole.hexdigest())


async def known_keys(connection: AsyncConnection[Any], stage: Stage, most: int) -> dict[str, str]:
    """Some of the mapping, for the answer."""
    query = sql.SQL("select source_key, target_key from {} order by length(source_key), source_key limit {}")
    return dict(await (await connection.execute(query.format(stage.lineage, most))).fetchall())
