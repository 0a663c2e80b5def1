"""Before the first row is packed it is known about how many there are: few are counted, of many the server guesses."""

from typing import Any

import psycopg
from pymongo import MongoClient

from adapters.databases.expecting import QUICKLY_COUNTED
from adapters.databases.mongodb.reading import MongoSource
from adapters.databases.mysql.reading import MysqlSource
from adapters.databases.postgresql.reading import PostgresSource
from application.ports.databases import Selection
from tests.databases.servers import Shop

MANY = QUICKLY_COUNTED * 3
PARENTS = "create table parents (id int primary key)"
CHILDREN = "create table children (id int primary key, parent int, foreign key (parent) references parents (id))"
ROWS = (
    "insert into parents values (1), (2), (3)",
    "insert into children values (1, 1), (2, 1), (3, 2), (4, null)",
)


async def expected(source: Any, *tables: str, **facts: Any) -> dict[str, int]:
    """About how many rows of which tables a selection holds."""
    async with source.read(Selection(tables=tables, **facts)) as reading:
        return {table.name: await reading.expected(table.name) for table in reading.tables}


async def few(source: Any) -> None:
    """Of the tables above."""
    assert await expected(source, "parents", "children") == {"parents": 3, "children": 4}
    assert await expected(source, "children", where={"children": "id > 3"}) == {"children": 1}
    needed = await expected(source, "children", where={"children": "id < 4"}, include_parent=True)
    assert needed == {"parents": 2, "children": 3}
    assert await expected(source, "children", where={"children": "id > 9"}) == {"children": 0}


async def test_few_rows_of_postgresql_are_counted(shop: str) -> None:
    run(shop, PARENTS, CHILDREN, *ROWS)
    await few(PostgresSource(shop))


async def test_many_rows_of_postgresql_are_guessed(shop: str) -> None:
    run(shop, PARENTS, f"insert into parents select generate_series(1, {MANY})", "analyze parents")
    found = (await expected(PostgresSource(shop), "parents"))["parents"]
    assert MANY / 2 < found < MANY * 2


def run(dsn: str, *statements: str) -> None:
    """Runs statements in a database."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


async def test_few_rows_of_mariadb_are_counted(maria_shop: Shop) -> None:
    await maria_shop.run(f"{PARENTS}; {CHILDREN}", "; ".join(ROWS))
    await few(MysqlSource(maria_shop.dsn))


async def test_many_rows_of_mariadb_are_guessed(maria_shop: Shop) -> None:
    await maria_shop.run(PARENTS, f"insert into parents select seq from seq_1_to_{MANY}; analyze table parents")
    found = (await expected(MysqlSource(maria_shop.dsn), "parents"))["parents"]
    assert MANY / 2 < found < MANY * 2


async def test_documents_are_noted_down(mongo_shop: str) -> None:
    with MongoClient[Any](mongo_shop) as client:
        client.get_default_database()["notes"].insert_many([{"_id": n, "odd": n % 2} for n in range(5)])
    assert await expected(MongoSource(mongo_shop), "notes") == {"notes": 5}
    assert await expected(MongoSource(mongo_shop), "notes", where={"notes": {"odd": 1}}) == {"notes": 2}
