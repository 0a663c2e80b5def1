"""The append function with its hash chain, beside the same function without it in a database of the benchmark."""

import asyncio
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from time import perf_counter

import psycopg

from adapters.postgres.appender import Waiting
from tests.bench.ground import Database, Ground
from tests.bench.report import Report, middle
from tests.bench.seed import History, append, groups

GROUPS = (1, 16, 128)
CHAINED = "chain_hash := sha256(before_hash || sha256(one) || sha256(payloads[i]));"
UNCHAINED = "chain_hash := before_hash;"


async def run(ground: Ground, report: Report, options: Namespace) -> None:
    """Durable appends on one connection, as many commits in each call as are named."""
    report.begin("Append, with and without the hash chain", "commits in a call", "events/s", "without", "with/without")
    for size in GROUPS:
        chained, plain = await ground.migrated("chained"), await ground.migrated("plain")
        await unchain(plain)
        rates = await asyncio.to_thread(compare, [chained, plain], size, options)
        report.row(f"{size}", rates[0], rates[1], rates[0] / rates[1])
        await ground.drop(chained)
        await ground.drop(plain)


async def unchain(database: Database) -> None:
    """Takes the chain out of the append function."""
    async with await psycopg.AsyncConnection.connect(database.owner_url, autocommit=True) as owner:
        row = await (await owner.execute("select pg_get_functiondef('rollbook.append'::regproc)")).fetchone()
        definition = str(row[0]) if row else ""
        if CHAINED not in definition:
            raise RuntimeError("the append function does not chain as this benchmark knows it")
        await owner.execute(definition.replace(CHAINED, UNCHAINED).encode())


def compare(databases: list[Database], size: int, options: Namespace) -> list[float]:
    """Events a second with each, in turn."""
    rates: dict[str, list[float]] = defaultdict(list)
    sources = {d.name: groups(History().commits(), size) for d in databases}
    for _ in range(options.rounds):
        for database in databases:
            rates[database.name].append(rate(database, sources[database.name], max(4, 640 // size), options.seconds))
    return [middle(rates[d.name]) for d in databases]


def rate(database: Database, source: Iterator[list[Waiting]], calls: int, seconds: float) -> float:
    """Appends for so long; making the commits is not counted."""
    events, took = 0, 0.0
    with psycopg.connect(database.app_url, autocommit=True) as connection:
        connection.execute("set role rollbook_writer")
        connection.execute("set plan_cache_mode = force_generic_plan")
        while took < seconds:
            ready = list(islice(source, calls))
            started = perf_counter()
            for group in ready:
                append(connection, group)
            took += perf_counter() - started
            events += sum(len(one.rows) for group in ready for one in group)
    return events / took
