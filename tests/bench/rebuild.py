"""Building the read model of deployments anew, beside the stock projection runner that keeps no versions."""

import asyncio
import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any

import psutil

from projections.registry import DEPLOYMENTS
from tests.bench.ground import Ground
from tests.bench.report import Report, middle

STOCK_EVENTS = 4000


async def run(ground: Ground, report: Report, options: Namespace) -> None:
    """Ours at two lengths of the history, the stock runner at the one that it gets through."""
    lengths = (options.events // 10, options.events)
    ours = [await ground.history(length) for length in lengths]
    results: dict[str, list[dict[str, Any]]] = {str(key): [] for key in (*lengths, "stock")}
    columns = ("events", "events/s", "x stock", "peak MB")
    report.begin("Rebuild of deployments", "by whom", *columns)
    for number in range(options.rounds):
        for length, database in zip(lengths, ours, strict=True):
            if length == lengths[0] or number < 2:
                results[str(length)].append(await asyncio.to_thread(rebuilt, database.app_url, DEPLOYMENTS.name))
        stock = await ground.database("stock_projection")
        results["stock"].append(await asyncio.to_thread(projected, stock.owner_url))
        await ground.drop(stock)
    slow = middle([rate(one) for one in results["stock"]])
    for key, runs in results.items():
        rates, peak = middle([rate(one) for one in runs]), max(one["peak_mb"] for one in runs)
        title = "(b) stock projection runner" if key == "stock" else "ours, versioned rows"
        report.row(title, runs[0]["events"], rates, rates / slow, peak)


def rate(result: dict[str, Any]) -> float:
    """Events a second."""
    return float(result["events"] / result["seconds"])


def rebuilt(url: str, *models: str) -> dict[str, Any]:
    """`rollbook rebuild`, as its user runs it; what it says of the first read model."""
    command = [str(Path(sys.executable).parent / "rollbook"), "rebuild", *models, "--json"]
    result = watched(command, {"DATABASE_URL": url})
    return {**result[0][0], "peak_mb": result[1]}


def projected(url: str) -> dict[str, Any]:
    """The stock projection runner, over a history of its own."""
    command = [sys.executable, "-m", "tests.bench.stock_projection", str(STOCK_EVENTS)]
    result = watched(command, {"BENCH_DATABASE_URL": url})
    return {**result[0], "peak_mb": result[1]}


def watched(command: list[str], facts: dict[str, str]) -> tuple[Any, float]:
    """What a command says, and the most memory that it ever had, in MB."""
    process = subprocess.Popen(command, env={**os.environ, **facts}, stdout=subprocess.PIPE)
    peak = [0.0]
    watcher = Thread(target=watch_memory, args=(process, peak))
    watcher.start()
    try:
        told, _ = process.communicate(timeout=900)
    finally:
        process.kill()
        watcher.join()
    if process.returncode != 0:
        raise RuntimeError(f"{command[1:]} ended with {process.returncode}")
    return json.loads(told), peak[0]


def watch_memory(process: subprocess.Popen[bytes], peak: list[float]) -> None:
    """Until it ends."""
    watched_process = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            peak[0] = max(peak[0], watched_process.memory_info().rss / 1e6)
        except psutil.Error:
            return
        sleep(0.02)
