"""A lane with 10,000 deployments behind it beside a lane with 10: claim, go live over others, roll back."""

import asyncio
import json
from argparse import Namespace
from collections import defaultdict
from dataclasses import dataclass
from time import perf_counter
from typing import Any
from urllib.parse import urlencode

from tests.bench.generator import Connection
from tests.bench.ground import Ground
from tests.bench.report import Report, middle
from tests.bench.servers import Measured, ours

LANES = (("lane with 10", "short", 10, 9), ("lane with 10,000", "long", 10_000, 1000))
CONNECTIONS = 16
COLUMNS = ("create ms", "claim ms", "update ms", "roll back", "skipping", "ms a skip", "first claim")


@dataclass(frozen=True, slots=True)
class Client:
    """One connection to the server."""

    connection: Connection

    async def ask(self, method: str, path: str, **sent: Any) -> Any:
        """The answer, which must be a good one."""
        status, answer = await self.connection.ask(method, path, json.dumps(sent).encode() if sent else b"")
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {answer[:200]!r}")
        return json.loads(answer)


async def run(ground: Ground, report: Report, options: Namespace) -> None:
    """Both lanes in turn on one server, and once more on one that has just started and remembers nothing."""
    database = await ground.migrated("lanes")
    server = ours(ground, database)
    results: dict[str, dict[str, list[float]]] = {lane[1]: defaultdict(list) for lane in LANES}
    try:
        for _, name, depth, _ in LANES:
            await deepen(server, name, depth)
        for _ in range(options.rounds):
            for _, name, _, skipped in LANES:
                await measure(await client(server), name, skipped, results[name])
        for _, name, _, _ in LANES * min(3, options.rounds):
            await create(await client(server), name, 3)
            server.stop()
            server = ours(ground, database)
            await first_claim(await client(server), name, results[name])
    finally:
        server.stop()
        await ground.drop(database)
    show(report, results)


def show(report: Report, results: dict[str, dict[str, list[float]]]) -> None:
    """A row a lane, and their ratio."""
    report.begin("Lanes with a past", "medians in ms", *COLUMNS)
    rows = [[middle(results[name][column]) for column in COLUMNS] for _, name, _, _ in LANES]
    for (title, *_), row in zip(LANES, rows, strict=True):
        report.row(title, *row)
    report.row("ratio", *(long / short for short, long in zip(*rows, strict=True)))


async def client(server: Measured) -> Client:
    """A new connection."""
    connection = Connection("127.0.0.1", server.port)
    await connection.open()
    return Client(connection)


def facts(name: str) -> dict[str, Any]:
    """The lane."""
    return {"name": name, "provider": "gcp", "cloud_account_id": "account", "region": "europe-west1"}


async def create(asker: Client, name: str, number: int) -> str:
    """One more in the queue."""
    more = {"version": f"1.0.{number}", "environment": "production", "type": "k8s"}
    made = await asker.ask("POST", "/v1/deployments", **facts(name), **more)
    return str(made["id"])


async def claim(asker: Client, name: str) -> Any:
    """What a runner may start next."""
    return await asker.ask("POST", "/v1/deployments/claim", lanes=[facts(name)], runner="bench", lease_seconds=60)


async def first_claim(asker: Client, name: str, result: dict[str, list[float]]) -> None:
    """The first claim in a lane that this process has not met yet; something else was asked before."""
    await create(asker, "warm", 0)
    warm = await claim(asker, "warm")
    started = perf_counter()
    claimed = await claim(asker, name)
    result["first claim"].append((perf_counter() - started) * 1000)
    for done in (claimed, warm):
        await asker.ask("PATCH", f"/v1/deployments/{done['id']}", status="deployed")


async def deepen(server: Measured, name: str, depth: int) -> None:
    """So many deployments that have been live, one after the other."""
    clients = [await client(server) for _ in range(CONNECTIONS)]

    async def some(asker: Client, count: int) -> None:
        for number in range(count):
            made = await create(asker, name, number)
            await asker.ask("PATCH", f"/v1/deployments/{made}", status="deployed")

    await asyncio.gather(*(some(c, depth // CONNECTIONS + (n < depth % CONNECTIONS)) for n, c in enumerate(clients)))


async def measure(asker: Client, name: str, skipped: int, result: dict[str, list[float]]) -> None:
    """One round: create, claim, update, roll back; then a queue that one deployment empties."""

    async def timed(column: str, asked: Any) -> Any:
        started = perf_counter()
        answer = await asked
        result[column].append((perf_counter() - started) * 1000)
        return answer

    made = await timed("create ms", create(asker, name, 1))
    claimed = await timed("claim ms", claim(asker, name))
    if claimed["id"] != made:
        raise RuntimeError("another deployment was claimed")
    await timed("update ms", asker.ask("PATCH", f"/v1/deployments/{made}", status="deployed"))
    back = await timed("roll back", asker.ask("POST", f"/v1/deployments/rollback?{urlencode(facts(name))}"))
    await asker.ask("PATCH", f"/v1/deployments/{back['id']}", status="deployed")
    await asker.ask("POST", "/v1/lanes/release", **facts(name))
    for number in range(skipped):
        await create(asker, name, number)
    last = await create(asker, name, 2)
    await timed("skipping", asker.ask("PATCH", f"/v1/deployments/{last}", status="deployed"))
    result["ms a skip"].append(result["skipping"][-1] / skipped)
