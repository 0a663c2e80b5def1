"""The servers of other kinds and versions that packages are tried on."""

import psycopg

from tests.databases.servers import MariaDb, Postgres15


async def test_mariadb_runs_on_tables_that_know_transactions(mariadb: MariaDb) -> None:
    async with mariadb.connected() as connection, connection.cursor() as cursor:
        await cursor.execute("select version(), @@default_storage_engine")
        version, engine = await cursor.fetchone()
    assert "MariaDB" in version
    assert engine == "InnoDB"


def test_postgresql_15_is_that_version(postgres_15: Postgres15) -> None:
    with psycopg.connect(postgres_15.admin_url) as connection:
        assert connection.info.server_version // 10000 == 15
