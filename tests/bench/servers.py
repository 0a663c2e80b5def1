"""The servers that are measured, each a process of its own on one Postgres."""

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import httpx2
import psutil

from adapters.embedded.process import free_port


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

    def wait(self, path: str, seconds: float = 60) -> None:
        """Until it answers."""
        until = monotonic() + seconds
        while monotonic() < until:
            with suppress(httpx2.HTTPError):
                if httpx2.get(f"http://127.0.0.1:{self.port}{path}", timeout=2).status_code == 200:
                    return
            sleep(0.1)
        raise RuntimeError(f"{self.name} does not answer")

    def stop(self) -> None:
        """Ends it."""
        self.process.terminate()
        self.process.wait(30)


def ours(folder: Path, app_url: str, owner_url: str, nats_url: str) -> Measured:
    """Everything in one process: API, projector, relay."""
    port = free_port()
    facts = {"DATABASE_URL": app_url, "DATABASE_OWNER_URL": owner_url, "NATS_URL": nats_url, "DATA_DIR": str(folder)}
    facts |= {"AUTH_ENABLED": "false", "API_PORT": str(port), "MANAGEMENT_PORT": str(free_port())}
    command = [str(Path(sys.executable).parent / "rollbook"), "up"]
    return start("rollbook", port, command, {**facts, "LOG_LEVEL": "warning"}, "/v1/deployments?limit=0")


def peer(name: str, module: str, app_url: str) -> Measured:
    """A peer under uvicorn, with uvloop and httptools."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", module, "--port", str(port), "--loop", "uvloop", "--http", "httptools"]
    command += ["--no-access-log", "--log-level", "warning"]
    return start(name, port, command, {"BENCH_DATABASE_URL": app_url}, "/v1/deployments?limit=1")


def start(name: str, port: int, command: list[str], facts: dict[str, str], path: str) -> Measured:
    """Starts a server and waits for it."""
    root = str(Path(__file__).parent.parent.parent)
    measured = Measured(name, port, subprocess.Popen(command, env={**os.environ, **facts}, cwd=root))
    measured.wait(path)
    return measured
