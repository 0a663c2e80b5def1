"""What Rollbook keeps in a target: which deployments were made, where each row went, what was there before."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from psycopg import AsyncConnection

from application.ports.databases import Order, Outcome, TableOutcome

SCHEMA = """
create schema if not exists rollbook_packages;
create table if not exists rollbook_packages.deployments (
    deployment_id text primary key,
    package text not null,
    tables text not null,
    outcome text not null,
    made_at timestamptz not null default now(),
    rolled_back_at timestamptz
);
create table if not exists rollbook_packages.lineage (
    package text not null,
    table_name text not null,
    source_key text not null,
    target_key text not null,
    digest uuid not null,
    inserted_by text,
    primary key (package, table_name, source_key)
);
create index if not exists lineage_inserted on rollbook_packages.lineage (inserted_by, table_name);
create table if not exists rollbook_packages.undo (
    deployment_id text not null,
    table_name text not null,
    target_key text not null,
    source_key text not null,
    before text not null,
    digest_before uuid,
    primary key (deployment_id, table_name, target_key)
);
"""
NO_MARKS = "select to_regclass('rollbook_packages.deployments') is null"
LOCK = "select pg_advisory_xact_lock(hashtext('rollbook package'), hashtext(%s))"


async def prepare(connection: AsyncConnection[Any], package: str) -> None:
    """Makes the tables that are missing; from here on this transaction alone deploys this package."""
    if (await one(connection, NO_MARKS, []))[0]:
        await connection.execute(SCHEMA.encode())
    await connection.execute(LOCK.encode(), [package])


async def made_before(connection: AsyncConnection[Any], deployment_id: str) -> Outcome | None:
    """What this deployment did, if its transaction was committed."""
    found = await one(
        connection, "select outcome from rollbook_packages.deployments where deployment_id = %s", [deployment_id]
    )
    return read(found[0]) if found else None


async def mark(
    connection: AsyncConnection[Any], order: Order, tables: Mapping[str, Sequence[str]], outcome: Outcome
) -> None:
    """Records, with the rows themselves, that the deployment was made, and which columns of which tables it wrote."""
    statement = """insert into rollbook_packages.deployments (deployment_id, package, tables, outcome)
                   values (%s, %s, %s, %s)"""
    values = [order.deployment_id, order.package, orjson.dumps(tables).decode(), written(outcome)]
    await connection.execute(statement.encode(), values)


def written(outcome: Outcome) -> str:
    """An outcome as text."""
    return orjson.dumps({"tables": dict(outcome.tables), "keys": outcome.keys}).decode()


def read(text: str) -> Outcome:
    """An outcome from its text; it is of a deployment that was made before."""
    found = orjson.loads(text)
    tables = {
        n: TableOutcome(**{**facts, "failures": tuple(facts["failures"])}) for n, facts in found["tables"].items()
    }
    return Outcome(tables, found["keys"], repeated=True)


async def one(connection: AsyncConnection[Any], query: str, values: list[Any]) -> Any:
    """The first row that a query of ours answers, None without any."""
    return await (await connection.execute(query.encode(), values or None)).fetchone()
