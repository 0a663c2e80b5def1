"""Measures Rollbook beside what a team would use instead: interleaved rounds, medians and ratios."""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from adapters.embedded.nats import EmbeddedNats
from adapters.embedded.postgres import EmbeddedPostgres
from tests.bench.servers import Measured, ours, peer
from tests.conftest import open_folder

CONNECTIONS = 16
ROUNDS: tuple[tuple[str, str, int], ...] = (
    ("create, 1,000 lanes", "create", 1000),
    ("update, 1,000 lanes", "update", 1000),
    ("create, one hot lane", "create", 1),
    ("update, one hot lane", "update", 1),
    ("list of 100", "?limit=100", 1),
    ("get one", "get", 1),
)


def load(server: Measured, kind: str, seconds: float, lanes: int, known: list[str]) -> dict[str, Any]:
    """One round against one server, with the CPU that it used."""
    asked = {"port": server.port, "kind": kind, "seconds": seconds, "lanes": lanes, "known": known}
    before = server.cpu_seconds()
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.generator"],
        input=json.dumps(asked | {"connections": CONNECTIONS}).encode(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=seconds + 60,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    result["cpu_ms"] = (server.cpu_seconds() - before) * 1000 / max(1, result["count"])
    result["rate"] = result["count"] / result["seconds"]
    result["p99_ms"] = result["latencies"][int(len(result["latencies"]) * 0.99)] * 1000
    return result


def measure(servers: list[Measured], rounds: int, seconds: float) -> None:
    """Every kind of request against every server in turn, so many times; prints a row as each is done."""
    print(f"{'what':24}{'server':12}{'median/s':>10}{'p99 ms':>9}{'CPU ms':>9}{'ours/it':>9}  faults")
    for title, kind, lanes in ROUNDS:
        results: dict[str, list[dict[str, Any]]] = defaultdict(list)
        able = [s for s in servers if not (s.name == "stock" and (kind == "get" or kind.startswith("?")))]
        known = {s.name: load(s, "create", 0.7, lanes, [])["made"] for s in able}
        for _ in range(rounds):
            for server in able:
                results[server.name].append(load(server, kind, seconds, lanes, known[server.name]))
        show(title, able, results)


def show(title: str, servers: list[Measured], results: dict[str, list[dict[str, Any]]]) -> None:
    """A row a server, with the ratio of our rate to its."""
    first = median(r["rate"] for r in results[servers[0].name])
    for server in servers:
        runs = results[server.name]
        rate, p99, cpu = (median(r[name] for r in runs) for name in ("rate", "p99_ms", "cpu_ms"))
        faults = sum(r["faults"] for r in runs)
        print(f"{title:24}{server.name:12}{rate:10.0f}{p99:9.1f}{cpu:9.2f}{first / rate:9.2f}  {faults}", flush=True)


def databases(postgres: EmbeddedPostgres) -> dict[str, str]:
    """One database a peer, owned by the role that works in it."""
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        for name in ("crud", "stock"):
            admin.execute(f"create database {name} owner rollbook_owner".encode())
    return {name: make_conninfo(postgres.owner_url, dbname=name) for name in ("crud", "stock")}


async def main(options: argparse.Namespace) -> None:
    """Starts the servers, measures, stops them."""
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with open_folder("bench") as folder:
        async with EmbeddedPostgres(folder) as postgres, EmbeddedNats(folder) as broker:
            urls = databases(postgres)
            sqlalchemy_url = urls_of(urls["crud"])
            home = Path(folder) / "home"
            servers = [
                ours(home, postgres.app_url, postgres.owner_url, broker.url),
                peer("crud", "tests.bench.crud:app", sqlalchemy_url),
                peer("stock", "tests.bench.stock:app", urls["stock"]),
            ]
            try:
                await asyncio.to_thread(measure, servers, options.rounds, options.seconds)
            finally:
                for server in servers:
                    server.stop()
    print(f"load at the end {os.getloadavg()[0]:.1f}")


def urls_of(conninfo: str) -> str:
    """The same address as SQLAlchemy writes it."""
    facts = psycopg.conninfo.conninfo_to_dict(conninfo)
    address = f"{facts['host']}:{facts['port']}/{facts['dbname']}"
    return f"postgresql+psycopg://{facts['user']}:{facts['password']}@{address}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds a row")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one round")
    asyncio.run(main(parser.parse_args()))
