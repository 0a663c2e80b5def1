"""The same rows again: when each is where the notes say that it went, there is nothing to bring."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from psycopg import AsyncConnection, sql

from adapters.databases.postgresql import marks
from adapters.databases.postgresql.progress import Telling
from adapters.databases.postgresql.staging import Stage, key_of_text
from adapters.databases.postgresql.writing import count
from application.ports.databases import Contents, Digested

FINGERPRINT = "select fingerprint from rollbook_packages.parts where part = %s"
KEEP = "update rollbook_packages.parts set fingerprint = %s where part = %s"


async def is_unchanged(connection: AsyncConnection[Any], stages: Sequence[Stage], contents: Contents) -> bool:
    """Whether all tables hold what was deployed last, and it is all there still."""
    for stage in stages:
        known = (await marks.one(connection, FINGERPRINT, [stage.part]))[0]
        if known is None or not (stage.key and stage.source_key):
            return False
        digest, stage.rows = await digested(contents, stage.name)
        if fingerprint(stage, digest, stage.rows) != known or await is_missing_some(connection, stage):
            return False
    return True


async def digested(contents: Contents, name: str) -> tuple[str, int]:
    """SHA-256 of the lines of a table and their number: read only where nobody noted it."""
    if isinstance(contents, Digested):
        return contents.digest(name)
    telling = Telling(lambda table, rows: None, name)
    async for lines in contents.rows(name):
        telling.read(lines)
    return str(telling.fingerprint.hexdigest()), telling.rows


async def is_missing_some(connection: AsyncConnection[Any], stage: Stage) -> bool:
    """Whether somebody took out rows that were brought."""
    same = [sql.SQL("t.{} = {}").format(sql.Identifier(n), key_of_text(stage.key, stage.facts, n)) for n in stage.key]
    query = sql.SQL("select count(*) from {} l where not exists (select from {} t where {})")
    return await count(connection, query.format(stage.lineage, stage.real, sql.SQL(" and ").join(same))) > 0


async def keep_fingerprint(connection: AsyncConnection[Any], stage: Stage, telling: Telling, failed: int) -> None:
    """Keeps what was deployed, unless rows were left out."""
    made = fingerprint(stage, str(telling.fingerprint.hexdigest()), telling.rows)
    await connection.execute(KEEP, [None if failed else made, stage.part])


def fingerprint(stage: Stage, digest: str, rows: int) -> str:
    """What tells the rows of a table from others: their texts, what the columns are, how rows are told apart."""
    about = repr((stage.packed.packed_columns, stage.packed.primary_key, stage.match, stage.key, digest, rows))
    return sha256(about.encode()).hexdigest()


async def known_keys(connection: AsyncConnection[Any], stage: Stage, most: int) -> dict[str, str]:
    """Some of the mapping, for the answer."""
    query = sql.SQL("select source_key, target_key from {} order by length(source_key), source_key limit {}")
    return dict(await (await connection.execute(query.format(stage.lineage, most))).fetchall())
