"""What Rollbook keeps in a target: which deployments were made, where each row went, what was there before."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from psycopg import AsyncConnection, sql

from adapters.databases.outcomes import read, told
from application.ports.databases import Order, Outcome

SCHEMA = """
create schema if not exists rollbook_packages;
create table if not exists rollbook_packages.deployments (
    deployment_id text primary key,
    number int generated always as identity unique,
    package text not null,
    tables text not null,
    outcome text,
    made_at timestamptz not null default now(),
    rolled_back_at timestamptz
);
create table if not exists rollbook_packages.parts (
    part int generated always as identity primary key,
    package text not null,
    table_name text not null,
    fingerprint text,
    first_key bigint,
    last_key bigint,
    unique (table_name, package)
);
create table if not exists rollbook_packages.undo (
    deployment int not null,
    part int not null,
    left_before int,
    digest_before bigint,
    target_key text collate "C" not null,
    source_key text collate "C",
    before text not null,
    primary key (deployment, part, target_key)
);
"""
LONGEST_NAME = 60
# Where the rows of one table went; a table for each, so that its index is made when there are rows to order.
LINEAGE = """
create table {lineage} (
    inserted_by int,
    left_by int not null,
    digest bigint not null,
    source_key text collate "C" not null,
    target_key text collate "C" not null
)
"""
NO_MARKS = "select to_regclass('rollbook_packages.undo') is null"
LOCK = "select pg_advisory_xact_lock(hashtext('rollbook package'), hashtext(%s))"
# Only one who came before, and whose job was given to us, can work under the same name still: it would hold its locks.
TAKE_OVER = """
select pg_terminate_backend(pid) from pg_stat_activity
 where application_name = current_setting('application_name') and datname = current_database()
   and usename = current_user and pid <> pg_backend_pid()
"""
LOCK_SCHEMA = "select pg_advisory_xact_lock(hashtext('rollbook packages'))"
NUMBER = """
insert into rollbook_packages.deployments (deployment_id, package, tables) values (%s, %s, %s) returning number
"""
PART = """
insert into rollbook_packages.parts (package, table_name) values (%s, %s)
    on conflict (table_name, package) do update set package = excluded.package returning part
"""


async def take_over(connection: AsyncConnection[Any], deployment_id: str) -> None:
    """Ends whoever else changes this deployment; a worker that stood still finds its connection gone."""
    name = f"rollbook {deployment_id}"[:LONGEST_NAME]
    await connection.execute("select set_config('application_name', %s, false)", [name])
    await connection.execute(TAKE_OVER)


async def prepare(connection: AsyncConnection[Any], package: str) -> None:
    """From here on this transaction alone deploys this package; makes the tables that are missing."""
    await connection.execute(LOCK, [package])
    if (await one(connection, NO_MARKS, []))[0]:
        await connection.execute(LOCK_SCHEMA)
        await connection.execute(SCHEMA)


async def made_before(connection: AsyncConnection[Any], deployment_id: str) -> Outcome | None:
    """What this deployment did, if its transaction was committed."""
    query = "select outcome from rollbook_packages.deployments where deployment_id = %s"
    found = await one(connection, query, [deployment_id])
    return read(found[0]) if found else None


async def begin(connection: AsyncConnection[Any], order: Order, tables: Mapping[str, Sequence[str]]) -> int:
    """Records which columns of which tables the deployment writes; answers its number in this target."""
    values = [order.deployment_id, order.package, orjson.dumps(tables).decode()]
    return int((await one(connection, NUMBER, values))[0])


async def part(connection: AsyncConnection[Any], package: str, table: str) -> tuple[int, bool]:
    """The number of a package's rows of a table, and whether there are none yet."""
    number = int((await one(connection, PART, [package, table]))[0])
    table_of_it = lineage(number)
    if (await one(connection, "select to_regclass(%s) is null", [f"rollbook_packages.lineage_{number}"]))[0]:
        await connection.execute(sql.SQL(LINEAGE).format(lineage=table_of_it))
    row = await (await connection.execute(sql.SQL("select exists (select from {})").format(table_of_it))).fetchone()
    return number, not (row and row[0])


def lineage(part: int) -> sql.Identifier:
    """The table of where the rows of a part went."""
    return sql.Identifier("rollbook_packages", f"lineage_{part}")


async def end(connection: AsyncConnection[Any], order: Order, outcome: Outcome) -> None:
    """Records, with the rows themselves, that the deployment was made."""
    statement = "update rollbook_packages.deployments set outcome = %s where deployment_id = %s"
    await connection.execute(statement, [told(outcome), order.deployment_id])


async def one(connection: AsyncConnection[Any], query: str, values: list[Any]) -> Any:
    """The first row that a query of ours answers, None without any."""
    return await (await connection.execute(query.encode(), values or None)).fetchone()
