"""Names and clauses as psycopg quotes them."""

from psycopg import sql

from adapters.databases.where.writing import Name, Pieces, Text
from domain.dataset import Table


def table_name(table: Table) -> sql.Identifier:
    """A table in its schema."""
    return sql.Identifier(table.schema, table.name)


def clause(pieces: Pieces, alias: str) -> sql.Composed:
    """A where clause on the columns of an alias."""
    return sql.Composed([piece_of(piece, alias) for piece in pieces])


def piece_of(piece: str | Text | Name, alias: str) -> sql.Composable:
    """One piece: only our own words go in unquoted."""
    if isinstance(piece, Name):
        return sql.Identifier(alias, piece.column)
    return sql.Literal(piece.value) if isinstance(piece, Text) else sql.SQL(piece)


def columns(alias: str, names: tuple[str, ...]) -> sql.Composed:
    """Columns of an alias, with commas between them."""
    return sql.SQL(", ").join([sql.Identifier(alias, name) for name in names])
