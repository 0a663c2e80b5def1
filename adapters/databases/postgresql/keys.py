"""Which rows of a package are in the target already, and under which key each row is or will be there.

Never by equality of a generated key: by lineage, by a match key or a UNIQUE constraint, by equality of preserved keys.
"""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection, sql

from adapters.databases.postgresql.staging import KNOWN, MET, NEW, Stage
from domain.errors import Clash


async def resolve(connection: AsyncConnection[Any], stages: Sequence[Stage]) -> None:
    """Finds the rows that are there, and gives keys to all."""
    for stage in stages:
        if stage.key and not stage.is_first:
            await by_lineage(connection, stage)
    while await meet(connection, stages):
        # What refers to rows that were met now may be met next.
        pass
    for stage in stages:
        await refuse_ambiguity(connection, stage)
        await give_keys(connection, stage)
        if not stage.is_first or unique_keys(stage):
            # Without it the server goes on as if no row had a key here yet, and looks through all for each.
            await connection.execute(sql.SQL("analyze {}").format(stage.temporary))
    for stage in stages:
        if not (stage.key and stage.source_key) and not stage.is_first:
            await by_content(connection, stage)


async def by_lineage(connection: AsyncConnection[Any], stage: Stage) -> None:
    """Rows that this package, in whatever version, deployed here before, and that are still there."""
    if not stage.source_key:
        return
    same = [sql.SQL("t.{} = {}").format(sql.Identifier(name), stage.from_text(name)) for name in stage.key]
    query = sql.SQL(
        """update {stage} s set found = {known}, {keys} from {lineage} l join {real} t on {same}
            where l.source_key = {source} and s.failed is null"""
    )
    facts = {"stage": stage.temporary, "real": stage.own_rows, "known": sql.Literal(KNOWN), "lineage": stage.lineage}
    facts |= {"keys": found_keys(stage, "t"), "same": sql.SQL(" and ").join(same)}
    await connection.execute(query.format(**facts, source=stage.source_key_text()))


async def by_content(connection: AsyncConnection[Any], stage: Stage) -> None:
    """Rows without a key are there as often as this package brought their like and they still are there."""
    query = sql.SQL(
        """update {stage} s set found = {known} from
             (select s.line, {digest} as digest, row_number() over (partition by {digest}) as number
                from {sources} where s.failed is null) o
             join (select digest, count(*) as most from {lineage} group by 1) l
               on l.digest = o.digest
             join (select {there} as digest, count(*) as most from {real} t group by 1) r on r.digest = o.digest
            where o.line = s.line and o.number <= least(l.most, r.most)"""
    )
    facts = {"stage": stage.temporary, "sources": stage.sources, "real": stage.own_rows, "known": sql.Literal(KNOWN)}
    values = {name: stage.mapped(name) for name in stage.names}
    facts |= {"digest": stage.facts.digest(values), "there": stage.facts.digest_of(stage.names)}
    await connection.execute(query.format(**facts, lineage=stage.lineage))


async def meet(connection: AsyncConnection[Any], stages: Sequence[Stage]) -> bool:
    """One round; whether it met rows, and other rows refer to each other so that another may meet more."""
    again = False
    for stage in stages:
        for columns in unique_keys(stage):
            met = await by_match(connection, stage, columns)
            again |= met > 0 and any(tells_apart(other) for other in stages)
    return again


def tells_apart(stage: Stage) -> bool:
    """Whether rows are told apart by what they refer to."""
    return any(referring(stage, columns) for columns in unique_keys(stage))


async def by_match(connection: AsyncConnection[Any], stage: Stage, columns: tuple[str, ...]) -> int:
    """Rows with the same values in columns that tell rows apart; who refers to a new row is new."""
    same = [sql.SQL("t.{} = {}").format(sql.Identifier(name), stage.mapped(name)) for name in columns]
    same += [sql.SQL("coalesce({}.found, 1) > 0").format(sql.Identifier(a)) for a in referring(stage, columns)]
    query = sql.SQL(
        """update {stage} s set found = {met}{keys} from
             (select distinct on (s.line) s.line{columns} from {sources} join {real} t on {same}
               where s.found = 0 and s.failed is null) m
            where m.line = s.line"""
    )
    places = [(sql.Identifier(f"k{n}"), sql.Identifier("t", name)) for n, name in enumerate(stage.key)]
    keys = sql.Composed([sql.SQL(", {0} = m.{0}").format(place) for place, _ in places])
    listed = [sql.SQL(", {} as {}").format(column, place) for place, column in places]
    facts = {"stage": stage.temporary, "sources": stage.sources, "real": stage.own_rows, "met": sql.Literal(MET)}
    facts |= {"columns": sql.Composed(listed), "same": sql.SQL(" and ").join(same), "keys": keys}
    return (await connection.execute(query.format(**facts))).rowcount


def referring(stage: Stage, columns: tuple[str, ...]) -> list[str]:
    """The rows of the package that some of these columns refer to."""
    found = [r.alias for r in stage.references if r.parent and set(r.key.columns) & set(columns)]
    return found


async def refuse_ambiguity(connection: AsyncConnection[Any], stage: Stage) -> None:
    """A declared match key must lead one row to one row."""
    if not (stage.match and stage.key):
        return
    keys = sql.SQL(", ").join([sql.Identifier(f"k{n}") for n in range(len(stage.key))])
    shared = sql.SQL("select 1 from {} where found = {} group by {} having count(*) > 1 limit 1")
    several = await connection.execute(shared.format(stage.temporary, sql.Literal(MET), keys))
    if await several.fetchone():
        raise Clash(f"By the match key ({', '.join(stage.match)}) several rows of {stage.name} are one in the target")
    own = sql.SQL(", ").join([sql.Identifier(name) for name in stage.match])
    query = sql.SQL(
        """select 1 from {real} t where ({own}) in (select {values} from {sources} where s.found = 2)
            group by {own} having count(*) > 1 limit 1"""
    )
    values = sql.SQL(", ").join([stage.mapped(name) for name in stage.match])
    found = await connection.execute(query.format(real=stage.own_rows, own=own, values=values, sources=stage.sources))
    if await found.fetchone():
        raise Clash(f"The match key ({', '.join(stage.match)}) does not tell the target's rows of {stage.name} apart")


async def give_keys(connection: AsyncConnection[Any], stage: Stage) -> None:
    """New rows get the next values of the target's own sequence, or the keys of what they refer to."""
    if stage.generates and not stage.is_first:
        query = sql.SQL("update {} set k0 = nextval({}::regclass) where found = 0 and failed is null")
        await connection.execute(query.format(stage.temporary, sql.Literal(stage.sequences[stage.key[0]])))
    elif not stage.generates and any(set(r.key.columns) & set(stage.key) for r in stage.references):
        names = list(enumerate(stage.key))
        query = sql.SQL("update {stage} s set {keys} from (select s.line, {values} from {sources}) m where {same}")
        keys = [sql.SQL("{0} = m.{0}").format(sql.Identifier(f"k{n}")) for n, _ in names]
        values = [sql.SQL("{} as {}").format(stage.mapped(name), sql.Identifier(f"k{n}")) for n, name in names]
        facts = {"stage": stage.temporary, "sources": stage.sources, "keys": sql.SQL(", ").join(keys)}
        same = sql.SQL("m.line = s.line and s.found = {}").format(NEW)
        await connection.execute(query.format(**facts, values=sql.SQL(", ").join(values), same=same))


def found_keys(stage: Stage, alias: str) -> sql.Composed:
    """The key of the row that was found."""
    return sql.SQL(", ").join(
        [sql.SQL("{} = {}").format(sql.Identifier(f"k{n}"), sql.Identifier(alias, c)) for n, c in enumerate(stage.key)]
    )


def unique_keys(stage: Stage) -> list[tuple[str, ...]]:
    """What tells rows apart: the declared match key, what the target holds to be unique, a key that is preserved."""
    keys = [stage.match] if stage.match else []
    keys += [key for key in stage.table.unique if stage.packs(key)]
    return [*keys, *([stage.key] if stage.key and not stage.generates else [])]
