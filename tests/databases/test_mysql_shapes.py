"""MariaDB's tables in parts, and what is no table."""

import pytest

from domain.errors import Invalid
from tests.databases.servers import Shop
from tests.databases.test_mysql_deploying import deploy, pack, roll_back

SALES = "create table sales (id int primary key, note varchar(9)) "
DIVIDED = f"{SALES} partition by range (id) (partition low values less than (3), partition high values less than (9))"
ALL = "select id, note from sales order by id"


@pytest.mark.parametrize("there", ["create view {} as select 1 as id, 'a' as note", "create sequence {}"])
async def test_what_is_no_table_is_neither_packed_nor_deployed_into(
    maria_shop: Shop, maria_other: Shop, there: str
) -> None:
    await maria_shop.run(SALES, there.format("sold"))
    await maria_other.run(there.format("sales"))
    with pytest.raises(Invalid, match="'sales' is a .*; only tables are deployed to"):
        await deploy(maria_other, await pack(maria_shop, "sales"))
    with pytest.raises(Invalid, match="'sold' is a .*; only tables are packed"):
        await pack(maria_shop, "sold")


async def test_tables_in_parts_are_packed_deployed_and_taken_back_whole(maria_shop: Shop, maria_other: Shop) -> None:
    await maria_shop.run(DIVIDED, "insert into sales values (1, 'a'), (5, 'b')")
    await maria_other.run(DIVIDED, "insert into sales values (5, 'old'), (6, 'mine')")
    package = await pack(maria_shop, "sales")
    dry = await deploy(maria_other, package, update_existing=True, dry_run=True)
    done = await deploy(maria_other, package, update_existing=True)
    assert (done.tables["sales"].new, done.tables["sales"].changed) == (1, 1)
    assert dry.tables == done.tables
    assert await maria_other.rows(ALL) == [(1, "a"), (5, "b"), (6, "mine")]
    await roll_back(maria_other)
    assert await maria_other.rows(ALL) == [(5, "old"), (6, "mine")]
