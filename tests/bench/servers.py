"""The servers that are measured, each a process of its own on one Postgres."""

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx2
import psutil
import psycopg

from adapters.embedded.process import free_port
from tests.bench.ground import Database, Ground


@dataclass
class Measured:
    """A server and its port."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        """What its process has used so far, without its children."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def wait(self, path: str, seconds: float = 600) -> None:
        """Until it answers."""
        until = monotonic() + seconds
        while monotonic() < until:
            with suppress(httpx2.HTTPError):
                if httpx2.get(f"http://127.0.0.1:{self.port}{path}", timeout=2).status_code == 200:
                    return
            if self.process.poll() is not None:
                break
            sleep(0.1)
        raise RuntimeError(f"{self.name} does not answer")

    def count_rows(self, path: str) -> int:
        """How long the list is that it answers."""
        return len(httpx2.get(f"http://127.0.0.1:{self.port}{path}", timeout=60).json())

    def stop(self) -> None:
        """Ends it."""
        self.process.terminate()
        self.process.wait(30)


def ours(ground: Ground, database: Database, what: str = "up") -> Measured:
    """Everything in one process, with the settings that a user gets: API, projector, relay, housekeeping."""
    port = free_port()
    facts = {"DATABASE_URL": database.app_url, "DATABASE_OWNER_URL": database.owner_url, "NATS_URL": ground.broker.url}
    facts |= {"AUTH_ENABLED": "false", "API_PORT": str(port), "MANAGEMENT_PORT": str(free_port())}
    facts |= {"DATA_DIR": str(ground.folder / f"home-{database.name}"), "LOG_LEVEL": "error"}
    command = [str(Path(sys.executable).parent / "rollbook"), what]
    return start("ours", port, command, facts, "/v1/deployments?limit=0")


def peer(name: str, module: str, app_url: str) -> Measured:
    """A peer under uvicorn, with uvloop and httptools."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", module, "--port", str(port), "--loop", "uvloop", "--http", "httptools"]
    command += ["--no-access-log", "--log-level", "warning"]
    if module.endswith(":build"):
        command.append("--factory")
    return start(name, port, command, {"BENCH_DATABASE_URL": app_url}, "/v1/deployments?limit=1")


def start(name: str, port: int, command: list[str], facts: dict[str, str], path: str) -> Measured:
    """Starts a server and waits for it."""
    root = str(Path(__file__).parent.parent.parent)
    process = subprocess.Popen(command, env={**os.environ, **facts}, cwd=root, stdout=subprocess.DEVNULL)
    measured = Measured(name, port, process)
    try:
        measured.wait(path)
    except BaseException:
        measured.stop()
        raise
    return measured


def cpu_seconds(ground: Ground) -> float:
    """What all processes of the database have used so far, those that ended included."""
    assert ground.postgres.child is not None
    assert ground.postgres.child.process is not None
    postmaster = psutil.Process(ground.postgres.child.process.pid)
    total = 0.0
    for process in (postmaster, *postmaster.children()):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    times = postmaster.cpu_times()
    return float(total + times.children_user + times.children_system)


async def rows_of(url: str, query: str) -> list[Any]:
    """What a query of the benchmark answers."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        return await (await connection.execute(query.encode())).fetchall()
