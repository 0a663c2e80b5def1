"""Notes, with the rows themselves, where each row went, as what it was left there, and what was there before."""

from typing import Any

from psycopg import AsyncConnection, sql

from adapters.databases.postgresql.staging import Stage
from adapters.databases.postgresql.writing import changing

TAKES_PLACE = sql.SQL(
    """on conflict (source_key) do update
          set target_key = excluded.target_key, digest = excluded.digest, left_by = excluded.left_by,
              inserted_by = coalesce(excluded.inserted_by, l.inserted_by)
        where (l.target_key, l.digest) <> (excluded.target_key, excluded.digest)
              or excluded.inserted_by is not null"""
)


async def keep_images(connection: AsyncConnection[Any], stage: Stage, number: int) -> None:
    """Keeps what the rows that will change are now."""
    if not (stage.free and stage.key):
        return
    query = sql.SQL(
        """insert into rollbook_packages.undo
           select {number}, {part}, l.left_by, l.digest, {target}, {source}, {before}
             from {sources} join {real} t on {same}
             left join {lineage} l on l.source_key = {source}
            where {changing}"""
    )
    facts = {"number": sql.Literal(number), "part": sql.Literal(stage.part), "target": stage.target_key_text()}
    facts["lineage"] = stage.lineage
    facts |= {"source": stage.source_key_text() if stage.source_key else sql.SQL("null::text")}
    facts |= {"sources": stage.sources, "real": stage.own_rows, "same": stage.same_key(), "before": image(stage)}
    await connection.execute(query.format(**facts, changing=changing(stage)))


def image(stage: Stage) -> sql.Composed:
    """The packaged columns of a row of the target, as texts by name."""
    pairs = [sql.SQL("({}, t.{}::text)").format(sql.Literal(name), sql.Identifier(name)) for name in stage.free]
    query = sql.SQL("(select json_object_agg(b.name, b.value)::text from (values {}) b (name, value))")
    return query.format(sql.SQL(", ").join(pairs))


async def keep_lineage(
    connection: AsyncConnection[Any], stage: Stage, number: int, updating: bool, found: bool
) -> None:
    """Notes the new rows, and those that were met or may have been changed."""
    if not (stage.source_key and stage.key):
        return await keep_lines(connection, stage, number)
    index = sql.SQL("create unique index if not exists {} on {} (source_key)")
    made = index.format(sql.Identifier(f"lineage_{stage.part}_key"), stage.lineage)
    if not stage.is_first:
        await connection.execute(made)
    await keep_new(connection, stage, number)
    if stage.is_first:
        await connection.execute(made)
        await connection.execute(sql.SQL("analyze {}").format(stage.lineage))
    if found:
        await keep_found(connection, stage, number, updating)


async def keep_new(connection: AsyncConnection[Any], stage: Stage, number: int) -> None:
    """Of new rows the package says what they are, unless triggers have a say."""
    digest, sources = stage.facts.digest({name: stage.value(name) for name in stage.names}), stage.sources
    if stage.facts.is_adorned:
        digest = stage.facts.digest_of(stage.names)
        sources = sql.SQL("{} join {} t on {}").format(stage.sources, stage.own_rows, stage.same_key())
    query = sql.SQL(
        """insert into {lineage} as l
           select {number}, {number}, {digest}, {source}, {target}
             from {sources} where s.found = 0 and s.failed is null {conflict}"""
    )
    facts = {"lineage": stage.lineage, "number": sql.Literal(number), "digest": digest, "sources": sources}
    facts |= {"source": stage.source_key_text(), "target": stage.target_key_text()}
    await connection.execute(query.format(**facts, conflict=sql.SQL("") if stage.is_first else TAKES_PLACE))


async def keep_found(connection: AsyncConnection[Any], stage: Stage, number: int, updating: bool) -> None:
    """Rows that were there, as they are now; one that is left alone stays as it was noted."""
    query = sql.SQL(
        """insert into {lineage} as l
           select null, {number}, {digest}, {source}, {target}
             from {sources} join {real} t on {same} where s.found > {least} and s.failed is null {conflict}"""
    )
    facts = {"lineage": stage.lineage, "number": sql.Literal(number), "sources": stage.sources}
    facts |= {"digest": stage.facts.digest_of(stage.names), "source": stage.source_key_text(), "real": stage.own_rows}
    facts |= {"target": stage.target_key_text(), "same": stage.same_key(), "least": sql.Literal(0 if updating else 1)}
    await connection.execute(query.format(**facts, conflict=TAKES_PLACE))


async def keep_lines(connection: AsyncConnection[Any], stage: Stage, number: int) -> None:
    """Of rows without a key only what they look like is noted."""
    query = sql.SQL(
        """insert into {lineage}
           select {number}, {number}, {digest}, {number} || '#' || s.line, {target}
             from {sources} where s.found = 0 and s.failed is null"""
    )
    facts = {"lineage": stage.lineage, "number": sql.Literal(number), "sources": stage.sources}
    target = stage.target_key_text() if stage.key else sql.SQL("''")
    digest = stage.facts.digest({name: stage.value(name) for name in stage.names})
    await connection.execute(query.format(**facts, digest=digest, target=target))
