"""Whatever a server's owner chose for everybody, all rows are packed as they are and arrive as they were."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import orjson
import pytest

from tests.databases.servers import MariaDb, Shop
from tests.databases.test_mysql_deploying import deploy, pack

SCHEMA = """
create table parents (id int primary key auto_increment, name varchar(50) unique);
create table children (id int primary key auto_increment, parent int, foreign key (parent) references parents (id))
"""
ROWS = """
insert into parents select seq, concat('\u00e9', seq) from seq_1_to_20;
insert into children select seq, seq from seq_1_to_20
"""
NAMES = "select min(name), count(*) from parents p join children c on c.parent = p.id"
CHOSEN = {
    "sql_mode": "'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,PAD_CHAR_TO_FULL_LENGTH'",
    "sql_select_limit": "2",
    "sql_safe_updates": "1",
    "max_join_size": "1",
    "tx_read_only": "1",
    "init_connect": "'set names latin1'",
}


@asynccontextmanager
async def chosen(server: MariaDb, name: str, value: str) -> AsyncIterator[None]:
    """Within, it is so for every new connection."""
    async with server.connected() as admin, admin.cursor() as cursor:
        await cursor.execute(f"select @@global.{name}")
        ((before,),) = await cursor.fetchall()
        await admin.query(f"set global {name} = {value}")
        try:
            yield
        finally:
            await admin.query(f"set global {name} = {before!r}")


async def ordinary(shop: Shop) -> Shop:
    """The same for a user who is none of the administrators."""
    user = f"user_of_{shop.name}"
    await shop.run(
        f"create user {user}@127.0.0.1 identified by '{shop.server.password}'",
        f"grant all on {shop.name}.* to {user}@127.0.0.1",
    )
    return replace(shop, server=replace(shop.server, user=user))


@pytest.mark.parametrize("name", CHOSEN)
async def test_rows_come_and_go_as_they_are(maria_shop: Shop, maria_other: Shop, name: str) -> None:
    await maria_shop.run("set names utf8mb4;" + SCHEMA, "set names utf8mb4;" + ROWS)
    await maria_other.run(SCHEMA)
    source, target = await ordinary(maria_shop), await ordinary(maria_other)
    async with chosen(maria_shop.server, name, CHOSEN[name]):
        package = await pack(source, "children", where={"children": "id > 3"}, include_parent=True)
        assert {table: sum(map(len, lines)) for table, lines in package.lines.items()} == {
            "parents": 17,
            "children": 17,
        }
        await deploy(target, package)
    assert await maria_other.rows(NAMES) == [("é10", 17)]


async def test_bytes_are_packed_as_long_as_the_server_takes_them(maria_shop: Shop) -> None:
    await maria_shop.run("create table files (id int primary key, body longblob)")
    await maria_shop.run("insert into files values (1, repeat(x'00', @@max_allowed_packet - 1024))")
    ((size,),) = await maria_shop.rows("select length(body) from files")
    package = await pack(maria_shop, "files")
    assert orjson.loads(package.lines["files"][0][0])[1] == "00" * size
