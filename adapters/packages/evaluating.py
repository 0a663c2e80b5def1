"""Which rows of a package a where clause means, decided by Rollbook's own Postgres over the texts of the rows.

No table is read: the rows go in as parameters, and the clause is written anew from its tree, so that it can name
nothing but their columns. It is run by the role that can only read, read-only and with a time limit. The types of the
columns are PostgreSQL's own ones; of an enum, a domain or an extension's type the text is compared.

Rows of MySQL are compared as PostgreSQL compares: texts by their letters, whatever the collation was.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import psycopg
from sqlglot import exp

from adapters.databases.postgresql.quoting import clause
from adapters.databases.where.parsing import parse
from adapters.databases.where.postgresql import POSTGRESQL
from adapters.databases.where.rules import Rules, is_what, truth
from adapters.databases.where.writing import Name, Pieces, Words, Writer, bracketed
from adapters.postgres.pools import AWAY, Pools
from application.ports.databases import Lines
from domain.dataset import DatabaseKind, Table
from domain.errors import Invalid, Unavailable

SECONDS = 30
SIZES = re.compile(r"\(\s*\d+\s*(,\s*-?\d+\s*)?\)")
KNOWN = frozenset(
    (
        *(
            "smallint",
            "integer",
            "bigint",
            "numeric",
            "real",
            "double precision",
            "boolean",
            "text",
            "date",
            "interval",
        ),
        *("time without time zone", "time with time zone", "timestamp without time zone", "timestamp with time zone"),
        *("uuid", "bytea", "json", "jsonb", "inet", "cidr", "macaddr", "oid", "bit varying"),
    )
)
CALLED: Mapping[str, str] = {"character varying": "text", "character": "bpchar", "bit": "bit varying"}
OF_MYSQL: Mapping[str, str] = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "integer", "bigint", "year"), "numeric"),
    **dict.fromkeys(("decimal", "numeric"), "numeric"),
    **dict.fromkeys(("float", "double", "real"), "double precision"),
    **dict.fromkeys(("datetime", "timestamp"), "timestamp without time zone"),
    "date": "date",
    "time": "interval",
    "json": "jsonb",
}


def is_true(writer: Writer, node: exp.Is) -> Pieces:
    """IS TRUE of a number, which for MySQL is whatever is not zero."""
    if not isinstance(node.expression, exp.Boolean):
        return is_what(writer, node)
    word = " is not " if node.args.get("negate") else " is "
    return bracketed("(", *writer.write(node.this), " <> 0)", word, *truth(writer, node.expression))


# MySQL has no truth values: true is 1.
MYSQL_RULES: Rules = {
    **POSTGRESQL.rules,
    exp.Boolean: (lambda writer, node: ("1" if node.this else "0",), frozenset({"this"})),
    exp.Is: (is_true, frozenset({"this", "expression", "negate"})),
}
WORDS = {
    DatabaseKind.POSTGRESQL: POSTGRESQL,
    DatabaseKind.MYSQL: Words("mysql in a package", MYSQL_RULES, POSTGRESQL.calls, folds_case=False),
}


@dataclass(frozen=True, slots=True)
class Clause:
    """Decides of the rows of one table. `places` and `types` are those of the columns that it names, in its order."""

    pools: Pools
    organisation: str
    table: str
    pieces: Pieces
    places: Sequence[int]
    types: Sequence[str]

    async def meant(self, lines: Lines) -> Lines:
        """Those of the lines whose rows the clause means."""
        rows = [orjson.loads(line) for line in lines]
        texts = [[row[place] for row in rows] for place in self.places]
        try:
            async with self.pools.reading(self.organisation) as connection, connection.transaction():
                await connection.execute("set transaction read only")
                await connection.execute(f"set local statement_timeout = {SECONDS * 1000}".encode())
                asked = self.query(connection)
                found = await (await connection.execute(asked.encode(), [[*range(len(lines))], *texts])).fetchall()
        except psycopg.errors.QueryCanceled:
            raise Invalid(f"The where clause of '{self.table}' takes longer than {SECONDS} s") from None
        except AWAY as problem:
            raise Unavailable(f"The where clause cannot be tried now ({type(problem).__name__})") from None
        except psycopg.Error as problem:
            why = problem.diag.message_primary or type(problem).__name__
            raise Invalid(f"The where clause of '{self.table}' cannot be tried: {why}") from None
        return [lines[number] for (number,) in found]

    def query(self, connection: psycopg.AsyncConnection[Any]) -> str:
        """Asks for the numbers of rows. Columns have names of ours."""
        condition = clause(self.pieces, "t").as_string(connection).replace("%", "%%")
        typed = "".join(f", r.c{number}::{name} as c{number}" for number, name in enumerate(self.types))
        names = "".join(f", c{number}" for number in range(len(self.types)))
        arrays = ", %s::text[]" * len(self.types)
        rows = f"select r.n{typed} from unnest(%s::int[]{arrays}) r (n{names})"
        return f"select t.n from ({rows}) t where {condition} order by t.n"


def clause_of(pools: Pools, organisation: str, kind: DatabaseKind, table: Table, text: str) -> Clause:
    """What decides by a where clause; Invalid points at what it may not say."""
    columns = {column.name: (place, column) for place, column in enumerate(table.packed_columns)}
    pieces = Writer(WORDS[kind], table.name, frozenset(columns)).write(parse(text))
    named = list(dict.fromkeys(piece.column for piece in pieces if isinstance(piece, Name)))
    ours = {name: Name(f"c{number}") for number, name in enumerate(named)}
    return Clause(
        pools,
        organisation,
        table.name,
        tuple(ours[piece.column] if isinstance(piece, Name) else piece for piece in pieces),
        [columns[name][0] for name in named],
        [type_of(kind, columns[name][1].data_type) for name in named],
    )


def type_of(kind: DatabaseKind, told: str) -> str:
    """The type by which values are compared; always one of those that are named here."""
    name = SIZES.sub("", told.lower()).strip()
    if kind is DatabaseKind.MYSQL:
        return OF_MYSQL.get(name.split(" ")[0], "text")
    array = "[]" if name.endswith("[]") else ""
    name = " ".join(name.removesuffix("[]").split())
    name = CALLED.get(name, name)
    return f"{name}{array}" if name in KNOWN or name == "bpchar" else "text"
