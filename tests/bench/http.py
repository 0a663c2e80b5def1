"""Requests over HTTP: ours beside the stock `eventsourcing` application (b) and a plain CRUD service (c)."""

import asyncio
import json
import subprocess
import sys
from argparse import Namespace
from collections import defaultdict
from time import monotonic
from typing import Any

import nats
from psycopg.conninfo import conninfo_to_dict

from tests.bench.ground import Database, Ground
from tests.bench.rebuild import rebuilt
from tests.bench.report import Report, middle, percentile
from tests.bench.servers import Measured, cpu_seconds, ours, peer, rows_of

CONNECTIONS = 16
KINDS: tuple[tuple[str, str, int], ...] = (
    ("create, 1,000 lanes", "create", 1000),
    ("update, 1,000 lanes", "update", 1000),
    ("create, one hot lane", "create", 1),
    ("update, one hot lane", "update", 1),
    ("list of 100", "?limit=100", 1),
    ("get one", "get", 1),
)


async def run(ground: Ground, report: Report, options: Namespace) -> None:
    """Starts the servers, asks them in turn, stops them."""
    own, crud, stock = await ground.migrated("http"), await ground.database("crud"), await ground.database("stock")
    servers = [
        ours(ground, own),
        peer("(c) CRUD", "tests.bench.crud:build", sqlalchemy_url(crud.owner_url)),
        peer("(b) stock", "tests.bench.stock:app", stock.owner_url),
    ]
    try:
        columns = ("requests/s", "ours/it", "p50 ms", "p99 ms", "CPU ms", "db CPU ms", "faults")
        report.begin(f"HTTP at {CONNECTIONS} connections", "what, by whom", *columns)
        for kind in KINDS:
            await asyncio.to_thread(compare, ground, report, servers, kind, options)
        await feed(ground, report, own, servers[0], options)
    finally:
        for server in servers:
            server.stop()
        for database in (own, crud, stock):
            await ground.drop(database)


def compare(
    ground: Ground, report: Report, servers: list[Measured], kind: tuple[str, str, int], options: Namespace
) -> None:
    """One kind of request against every server that knows it, in turn, so many times."""
    title, name, lanes = kind
    able = servers if name in ("create", "update") else servers[:2]
    results: dict[str, list[dict[str, Any]]] = defaultdict(list)
    known = {s.name: load(ground, s, "create", 0.7, lanes, [])["made"] for s in able}
    for _ in range(options.rounds):
        for server in able:
            results[server.name].append(load(ground, server, name, options.seconds, lanes, known[server.name]))
    first = middle([r["rate"] for r in results[able[0].name]])
    for server in able:
        figures = {k: middle([r[k] for r in results[server.name]]) for k in ("rate", "p50", "p99", "cpu", "db_cpu")}
        ratio = first / figures.pop("rate")
        faults = sum(r["faults"] for r in results[server.name])
        report.row(f"{title}, {server.name}", first / ratio, ratio, *figures.values(), faults)


def load(
    ground: Ground,
    server: Measured,
    kind: str,
    seconds: float,
    lanes: int,
    known: list[str],
    connections: int = CONNECTIONS,
) -> dict[str, Any]:
    """One round against one server, with the CPU time that it and its database used for each request."""
    asked = {"port": server.port, "kind": kind, "seconds": seconds, "lanes": lanes, "known": known}
    own, database = server.cpu_seconds(), cpu_seconds(ground)
    result = generate(asked | {"connections": connections}, seconds)
    count = max(1, result["count"])
    result["cpu"] = (server.cpu_seconds() - own) * 1000 / count
    result["db_cpu"] = (cpu_seconds(ground) - database) * 1000 / count
    result["rate"] = result["count"] / result["seconds"]
    result |= {name: percentile(result["latencies"], share) * 1000 for name, share in (("p50", 0.5), ("p99", 0.99))}
    return result


def generate(asked: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Runs the load generator, a process of its own."""
    command = [sys.executable, "-m", "tests.bench.generator"]
    sent = json.dumps(asked).encode()
    done = subprocess.run(command, input=sent, stdout=subprocess.PIPE, check=True, timeout=seconds + 60)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


async def feed(ground: Ground, report: Report, database: Database, server: Measured, options: Namespace) -> None:
    """How far the feed is behind in a throughput run, and how fast it catches up."""
    columns = ("events", "events/s", "most behind", "lag at end", "drained in s", "drain ev/s")
    report.begin("The feed", "run", *columns)
    client = await nats.connect(ground.broker.url)
    try:
        before = await head(database)
        running = asyncio.create_task(
            asyncio.to_thread(load, ground, server, "create", max(5.0, options.seconds), 1000, [])
        )
        most = await most_behind(database, client, running)
        last, seconds = await head(database), (await running)["seconds"]
        lag = last - await in_feed(client)
        took = await drained(client, last)
        speed = lag / took if lag else "-"
        report.row("creates at full speed", last - before, (last - before) / seconds, most, lag, took, speed)
        server.stop()
        await fill_feed(ground, report, client, options.events // 10)
    finally:
        await client.close()


async def most_behind(database: Database, client: Any, running: asyncio.Task[Any]) -> int:
    """The largest lag seen while something runs."""
    most = 0
    while not running.done():
        last = await head(database)
        most = max(most, last - await in_feed(client))
        await asyncio.wait([running], timeout=0.1)
    return most


async def drained(client: Any, last: int) -> float:
    """Seconds until the feed has come to a position."""
    started = monotonic()
    while await in_feed(client) < last:
        if monotonic() > started + 300:
            raise RuntimeError("the feed does not catch up")
        await asyncio.sleep(0.02)
    return monotonic() - started


async def fill_feed(ground: Ground, report: Report, client: Any, events: int) -> None:
    """A feed that has everything before it; the read models are there already."""
    database = await ground.history(events)
    await asyncio.to_thread(rebuilt, database.app_url)
    await client.jetstream().purge_stream("ROLLBOOK")
    server = await asyncio.to_thread(ours, ground, database)
    try:
        last, first = await head(database), await in_feed(client)
        took = await drained(client, last)
        report.row("everything anew", last, "-", last, last - first, took, (last - first) / took)
    finally:
        server.stop()


async def head(database: Database) -> int:
    """The last position of the log."""
    return int((await rows_of(database.admin_url, "select rollbook.head()"))[0][0])


async def in_feed(client: Any) -> int:
    """The position that the feed has come to: one message is one event."""
    return int((await client.jetstream().stream_info("ROLLBOOK")).state.messages)


def sqlalchemy_url(conninfo: str) -> str:
    """The same address as SQLAlchemy writes it."""
    facts = conninfo_to_dict(conninfo)
    address = f"{facts['host']}:{facts['port']}/{facts['dbname']}"
    return f"postgresql+psycopg://{facts['user']}:{facts['password']}@{address}"
