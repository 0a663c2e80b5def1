"""Which rows of a package are in the target already, and under which key each row is or will be there.

Never by equality of a generated key: by lineage, by a match key or a UNIQUE constraint, by equality of preserved keys.
"""

from typing import Any

from psycopg import AsyncConnection, sql

from adapters.databases.postgresql.staging import Stage
from domain.dataset import ForeignKey


async def resolve(connection: AsyncConnection[Any], stage: Stage, package: str, match: tuple[str, ...]) -> None:
    """Finds the rows that are there, and gives keys to all; those of the parents are known by now."""
    for place, key, parent in stage.references:
        if parent is not stage:
            await refer(connection, stage, place, key, parent)
    if stage.key:
        await by_lineage(connection, stage, package)
    for columns in unique_keys(stage, match):
        await by_match(connection, stage, columns)
    if stage.key and not stage.generates:
        await by_preserved_key(connection, stage)
    if stage.generates:
        await give_new_keys(connection, stage)
    for place, key, parent in stage.references:
        if parent is stage:
            await refer(connection, stage, place, key, parent)


async def refer(connection: AsyncConnection[Any], stage: Stage, place: int, key: ForeignKey, parent: Stage) -> None:
    """Fills in what a reference into the package is in the target."""
    pairs = dict(zip(key.columns, key.referenced_columns, strict=True))
    same = [
        sql.SQL("p.{} = s.{}").format(
            sql.Identifier(f"v{parent.place(referenced)}"), sql.Identifier(f"v{stage.place(name)}")
        )
        for name, referenced in pairs.items()
    ]
    query = sql.SQL("update {child} s set {reference} = {value} from {parent} p where {same}").format(
        child=stage.temporary,
        parent=parent.temporary,
        reference=sql.Identifier(f"r{place}"),
        value=parent.value(pairs[stage.columns[place].name], "p"),
        same=sql.SQL(" and ").join(same),
    )
    await connection.execute(query)


async def by_lineage(connection: AsyncConnection[Any], stage: Stage, package: str) -> None:
    """Rows that this package, in whatever version, deployed here before, and that are still there."""
    same = [
        sql.SQL("t.{} = (l.target_key::json ->> {})::{}").format(
            sql.Identifier(column.name), sql.Literal(number), sql.SQL(column.data_type)
        )
        for number, column in enumerate(stage.key)
    ]
    query = sql.SQL(
        """update {stage} s set found = true, {keys}
             from rollbook_packages.lineage l join {real} t on {same}
            where l.package = {package} and l.table_name = {name} and l.source_key = s.source_key"""
    )
    await connection.execute(
        query.format(
            stage=stage.temporary,
            keys=assigned(stage),
            real=stage.real,
            same=sql.SQL(" and ").join(same),
            package=sql.Literal(package),
            name=sql.Literal(stage.name),
        )
    )


async def by_match(connection: AsyncConnection[Any], stage: Stage, columns: tuple[str, ...]) -> None:
    """Rows with the same values in columns that tell rows apart."""
    same = [sql.SQL("t.{} = {}").format(sql.Identifier(name), stage.given(name)) for name in columns]
    query = sql.SQL("update {} s set found = true, {} from {} t where not s.found and {}")
    keys = assigned(stage) if stage.key else sql.SQL("line = s.line")
    await connection.execute(query.format(stage.temporary, keys, stage.real, sql.SQL(" and ").join(same)))


async def by_preserved_key(connection: AsyncConnection[Any], stage: Stage) -> None:
    """Rows keep their key: it says whether they are there."""
    keys = [
        sql.SQL("{} = {}").format(sql.Identifier(f"k{number}"), stage.given(column.name))
        for number, column in enumerate(stage.key)
    ]
    keep = sql.SQL("update {} s set {} where not s.found")
    await connection.execute(keep.format(stage.temporary, sql.SQL(", ").join(keys)))
    look = sql.SQL("update {} s set found = true from {} t where not s.found and {}")
    await connection.execute(look.format(stage.temporary, stage.real, same_key(stage)))


async def give_new_keys(connection: AsyncConnection[Any], stage: Stage) -> None:
    """New rows get the next values of the target's own sequence."""
    query = sql.SQL("update {} set k0 = nextval({}::regclass) where not found")
    await connection.execute(query.format(stage.temporary, sql.Literal(stage.table.sequence)))


def assigned(stage: Stage) -> sql.Composed:
    """The key of the row that was found."""
    return sql.SQL(", ").join(
        [sql.SQL("k{} = t.{}").format(sql.Literal(n), sql.Identifier(c.name)) for n, c in enumerate(stage.key)]
    )


def same_key(stage: Stage) -> sql.Composed:
    """A row of the table and a row on its way have the same key."""
    return sql.SQL(" and ").join(
        [
            sql.SQL("t.{} = s.{}").format(sql.Identifier(column.name), sql.Identifier(f"k{number}"))
            for number, column in enumerate(stage.key)
        ]
    )


def unique_keys(stage: Stage, match: tuple[str, ...]) -> list[tuple[str, ...]]:
    """What tells rows apart: the declared match key first, then what the target holds to be unique."""
    packed = {column.name for column in stage.columns}
    return [*([match] if match else []), *(key for key in stage.table.unique if set(key) <= packed)]
