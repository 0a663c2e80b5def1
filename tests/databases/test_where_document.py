"""docs/where-clauses.md tells what a where clause may say: all of it, and for which database."""

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlglot import exp

from adapters.databases.mysql.quoting import clause as quoted
from adapters.databases.mysql.session import opened
from adapters.databases.where import mysql, postgresql
from adapters.databases.where.parsing import parse
from adapters.databases.where.writing import Pieces
from adapters.embedded.postgres import EmbeddedPostgres
from domain.errors import Invalid
from tests.databases.servers import Shop
from tests.databases.test_where import composed

DOCUMENT = (Path(__file__).parents[2] / "docs" / "where-clauses.md").read_text()
TOLD = re.findall(r"^\| [^|]+ \| `(.+)` \| (yes|no) \| (yes|no) \|$", DOCUMENT, re.MULTILINE)
EXAMPLES = [(example.replace(r"\|", "|"), first == "yes", second == "yes") for example, first, second in TOLD]
COLUMNS = frozenset(re.findall(r"\w+", re.findall(r"`orders \((.+)\)`", DOCUMENT)[0]))
IN_POSTGRESQL = """
create temporary table orders (id int, customer_id int, name text, total numeric, placed timestamp, note text,
                               tags text[], data jsonb, active boolean)
"""
IN_MYSQL = """
create table orders (id int, customer_id int, name text, total decimal(9, 2), placed datetime, note text,
                     tags text, data json, active boolean)
"""
Where = Callable[[str, str, frozenset[str]], Pieces]


def is_allowed(where: Where, clause: str) -> bool:
    """Whether it is written anew, not refused."""
    with suppress(Invalid):
        return bool(where(clause, "orders", COLUMNS))
    return False


def kinds(kind: str) -> set[type[Any]]:
    """Of which kinds the nodes of the examples for one database are."""
    told = [clause for clause, *allowed in EXAMPLES if allowed[kind == "mysql"]]
    return {type(node) for clause in told for node in parse(clause).walk()}


@pytest.mark.parametrize(("clause", "in_postgresql", "in_mysql"), EXAMPLES)
def test_each_example_is_allowed_where_the_document_says_so(clause: str, in_postgresql: bool, in_mysql: bool) -> None:
    assert is_allowed(postgresql.where, clause) is in_postgresql
    assert is_allowed(mysql.where, clause) is in_mysql


@pytest.mark.parametrize("words", [postgresql.POSTGRESQL, mysql.MYSQL], ids=lambda words: str(words.kind))
def test_whatever_is_allowed_has_an_example(words: Any) -> None:
    quotes = {exp.RawString, exp.ByteString}
    assert words.rules.keys() - quotes <= kinds(words.kind)
    assert all(name in DOCUMENT for name in words.calls)


def test_postgresql_understands_each_example(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.admin_url) as connection:
        connection.execute(IN_POSTGRESQL)
        for clause, in_postgresql, _ in EXAMPLES:
            assert in_postgresql
            condition = composed(postgresql.where(clause, "orders", COLUMNS))
            connection.execute(sql.SQL("select from orders where {}").format(condition))


async def test_mariadb_understands_each_example_that_it_is_allowed(maria_shop: Shop) -> None:
    await maria_shop.run(IN_MYSQL)
    async with opened(maria_shop.dsn, 60, "source") as session:
        for clause, _, in_mysql in EXAMPLES:
            if in_mysql:
                condition = quoted(mysql.where(clause, "orders", COLUMNS), "t")
                await session.rows(f"select id from orders t where {condition}")
