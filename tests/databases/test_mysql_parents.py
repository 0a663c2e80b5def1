"""Parents that are missing in a MariaDB target: those that the package holds are made, others are never invented."""

import pytest

from domain.errors import Invalid
from tests.databases.servers import Shop
from tests.databases.test_mysql_deploying import COUNT, deploy, pack
from tests.databases.test_mysql_reading import ROWS, SCHEMA

SALES = """select c.name, p.sku from items i join orders o on o.id = i.order_id join customers c on c.id = o.customer
             join products p on p.sku = i.sku order by 1, 2"""


@pytest.mark.parametrize("create_missing", [True, False])
async def test_parents_in_the_package_are_always_made(
    maria_shop: Shop, maria_other: Shop, create_missing: bool
) -> None:
    await maria_shop.run(SCHEMA, ROWS)
    await maria_other.run(SCHEMA)
    package = await pack(maria_shop, "items", include_parent=True)
    await deploy(maria_other, package, create_missing=create_missing)
    for table in ("items", "orders", "customers"):
        await maria_other.run(f"update customers set boss = null; delete from {table}")
    again = await deploy(maria_other, package, "2", create_missing=create_missing)
    assert (again.tables["customers"].new, again.tables["products"].new) == (4, 0)
    assert await maria_other.rows(SALES) == await maria_shop.rows(SALES) != []


async def test_parents_that_are_not_in_the_package_are_not_invented(maria_shop: Shop, maria_other: Shop) -> None:
    await maria_shop.run(SCHEMA, ROWS)
    await maria_other.run(SCHEMA)
    package = await pack(maria_shop, "orders", "customers", where={"customers": "id <> 4"})
    with pytest.raises(Invalid, match="1 rows of orders refer to rows of customers that are neither"):
        await deploy(maria_other, package, create_missing=True)
    assert await maria_other.rows(COUNT) == [(0,)]


async def test_parents_without_the_column_that_is_referred_to_are_none(maria_shop: Shop, maria_other: Shop) -> None:
    made = (
        "create table shops (id int auto_increment primary key, code varchar(9) unique)",
        "create table sales (id int auto_increment primary key, shop varchar(9), "
        "foreign key (shop) references shops (code))",
    )
    for shop in (maria_shop, maria_other):
        for statement in made:
            await shop.run(statement)
    await maria_shop.run("insert into shops (code) values ('x')", "insert into sales (shop) values ('x')")
    package = await pack(maria_shop, "shops", "sales", exclude={"shops": frozenset({"code"})})
    with pytest.raises(Invalid, match="1 rows of sales refer to rows of shops that are neither"):
        await deploy(maria_other, package, create_missing=True)
    await maria_other.run("insert into shops (code) values ('x')")
    await deploy(maria_other, package)
    assert await maria_other.rows("select shop from sales") == [("x",)]
