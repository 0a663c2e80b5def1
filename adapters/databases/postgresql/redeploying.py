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

FOUND = "select fingerprint, first_key, last_key from rollbook_packages.parts where part = %s"
KEEP = "update rollbook_packages.parts set fingerprint = %s, first_key = %s, last_key = %s where part = %s"
WHOLE = {"smallint", "integer", "bigint"}
NO_RANGE = (None, None)


async def is_unchanged(connection: AsyncConnection[Any], stages: Sequence[Stage], contents: Contents) -> bool:
    """Whether all tables hold what was deployed last, and it is all there still."""
    for stage in stages:
        known, *keys = await marks.one(connection, FOUND, [stage.part])
        if known is None or not (stage.key and stage.source_key):
            return False
        digest, stage.rows = await digested(contents, stage.name)
        if fingerprint(stage, digest, stage.rows) != known or await is_missing_some(connection, stage, *keys):
            return False
    return True


async def digested(contents: Contents, name: str) -> tuple[str, int]:
    """SHA-256 of the lines of a table and their number: read only where nobody noted it."""
    if isinstance(contents, Digested):
        return contents.digest(name)
    telling = Telling(lambda table, rows: None, name)
    async for lines in contents.rows(name):
        telling.read(lines)
    return telling.digest, telling.rows


async def is_missing_some(connection: AsyncConnection[Any], stage: Stage, first: int | None, last: int | None) -> bool:
    """Whether somebody took out rows that were brought. Where these have all the keys from the first to the last, they
    are only counted; otherwise each note is held against the table."""
    if first is not None and last is not None and has_whole_key(stage):
        there = sql.SQL("select count(*) from {} t where {} between {} and {}")
        key = sql.Identifier("t", stage.key[0])
        return await count(connection, there.format(stage.own_rows, key, first, last)) != last - first + 1
    same = [sql.SQL("t.{} = {}").format(sql.Identifier(n), key_of_text(stage.key, stage.facts, n)) for n in stage.key]
    query = sql.SQL("select count(*) from {} l where not exists (select from {} t where {})")
    return await count(connection, query.format(stage.lineage, stage.own_rows, sql.SQL(" and ").join(same))) > 0


async def keep_fingerprint(
    connection: AsyncConnection[Any], stage: Stage, telling: Telling, failed: int, keys: tuple[int, int] | None
) -> None:
    """Keeps what was deployed, unless rows were left out; `keys` are the first and the last when it is all between."""
    made = fingerprint(stage, telling.digest, telling.rows)
    await connection.execute(KEEP, [None if failed else made, *(keys or NO_RANGE), stage.part])


async def without_gaps(connection: AsyncConnection[Any], stage: Stage, new: int) -> tuple[int, int] | None:
    """The first and the last key of rows that are all new and lack none between; None where that is not so."""
    if not (stage.is_first and new and new == stage.rows) or stage.facts.is_adorned:
        return None
    if not has_whole_key(stage):
        return None
    query = sql.SQL("select min({key}), max({key}) from {stage} s")
    facts = {"key": stage.moved(stage.key[0], "s"), "stage": stage.temporary}
    row = await (await connection.execute(query.format(**facts))).fetchone()
    first, last = row or (0, 0)
    return (first, last) if last - first == new - 1 else None


def fingerprint(stage: Stage, digest: str, rows: int) -> str:
    """What tells the rows of a table from others: their texts, what the columns are, how rows are told apart."""
    about = repr((stage.packed.packed_columns, stage.packed.primary_key, stage.match, stage.key, digest, rows))
    return sha256(about.encode()).hexdigest()


def has_whole_key(stage: Stage) -> bool:
    """Whether a row's key is one integer."""
    return len(stage.key) == 1 and stage.facts.types[stage.key[0]] in WHOLE


async def known_keys(connection: AsyncConnection[Any], stage: Stage, most: int) -> dict[str, str]:
    """Some of the mapping, for the answer: those that lie first, as to find others would be to read them all."""
    query = sql.SQL("select source_key, target_key from {} limit {}")
    found = await (await connection.execute(query.format(stage.lineage, most))).fetchall()
    return dict(sorted(found, key=lambda pair: (len(pair[0]), pair)))
