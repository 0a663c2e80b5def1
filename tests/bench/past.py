"""Lists as of the middle of a long history, beside the same lists as they are now."""

import asyncio
from argparse import Namespace
from collections import defaultdict
from typing import Any

from projections.registry import DEPLOYMENTS
from tests.bench.ground import Ground
from tests.bench.http import head, load
from tests.bench.rebuild import rebuilt
from tests.bench.report import Report, middle
from tests.bench.seed import RARE_ENVIRONMENT
from tests.bench.servers import Measured, ours, rows_of

FILTERS = (
    "",
    "&status=scheduled",
    "&status=in_progress",
    "&status=failed",
    f"&environment={RARE_ENVIRONMENT}",
    "&name=service-7",
    f"&status=scheduled&environment={RARE_ENVIRONMENT}",
    "&name=nobody-knows-it",
)


async def run(ground: Ground, report: Report, options: Namespace) -> None:
    """The read model is rebuilt first; the API runs alone, since nothing is written meanwhile."""
    database = await ground.history(options.events)
    await asyncio.to_thread(rebuilt, database.app_url, DEPLOYMENTS.name)
    await ground.settle(database)
    server = ours(ground, database, "serve")
    try:
        last = await head(database)
        at = (
            await rows_of(database.admin_url, f"select recorded_at from rollbook.events where position = {last // 2}")
        )[0][0]
        columns = ("rows", "now p50 ms", "then p50 ms", "then/now", "now p99 ms", "then p99 ms", "faults")
        report.begin(f"As of the middle of {last:,} events", "list of 100", *columns)
        for one in FILTERS:
            await asyncio.to_thread(compare, ground, report, server, f"?limit=100{one}", str(last // 2), options)
        moment = at.isoformat().replace("+", "%2B")
        await asyncio.to_thread(compare, ground, report, server, "?limit=100", moment, options)
    finally:
        server.stop()


def compare(ground: Ground, report: Report, server: Measured, query: str, as_of: str, options: Namespace) -> None:
    """One list now and then, in turn, so many times."""
    results: dict[str, list[dict[str, Any]]] = defaultdict(list)
    asked = {"now": query, "then": f"{query}&as_of={as_of}"}
    for _ in range(options.rounds):
        for when, kind in asked.items():
            results[when].append(load(ground, server, kind, options.seconds / 2, 1, [], connections=4))
    now, then = ({k: middle([r[k] for r in results[w]]) for k in ("p50", "p99")} for w in asked)
    rows = server.count_rows(f"/v1/deployments{asked['then']}")
    faults = sum(r["faults"] for runs in results.values() for r in runs)
    title = query.removeprefix("?limit=100").replace("&", " ").strip() or "without a filter"
    title += "" if as_of.isdigit() else ", by time"
    report.row(title, rows, now["p50"], then["p50"], then["p50"] / now["p50"], now["p99"], then["p99"], faults)
