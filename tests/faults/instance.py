"""A whole Rollbook in a process group of its own, as a user starts it, to be killed."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil

from tests.conftest import reserved_port

READY_SECONDS = 60


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs; a pid that somebody else has by now is not it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def program(process: psutil.Process) -> str:
    """Its name; empty when it has ended by itself meanwhile."""
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


class Instance:
    """One DATA_DIR, all parts or one of them, with these settings; started and killed any number of times."""

    def __init__(self, folder: Path, part: str = "up", settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.part = part
        self.settings = settings or {}
        self.api_port, self.management_port = reserved_port(), reserved_port()
        self.process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where the API answers."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def management_url(self) -> str:
        """Where /ready answers."""
        return f"http://127.0.0.1:{self.management_port}"

    def command(self) -> list[str]:
        """What is run."""
        return [str(Path(sys.executable).parent / "rollbook"), self.part]

    async def start(self, failpoint: str | None = None) -> None:
        """Returns when it is ready."""
        environment = {
            "PATH": os.environ["PATH"],
            "AUTH_ENABLED": "false",
            "DATA_DIR": str(self.folder),
            "API_PORT": str(self.api_port),
            "MANAGEMENT_PORT": str(self.management_port),
            **self.settings,
        }
        if failpoint:
            environment["ROLLBOOK_FAILPOINT"] = failpoint
        with open(self.folder / "rollbook.log", "ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *self.command(), stdout=output, stderr=output, env=environment, start_new_session=True, cwd=self.folder
            )
        await self.wait_ready()

    async def wait_ready(self) -> None:
        """Until /ready says so; fails with the log's end when it does not within a minute."""
        assert self.process is not None
        async with httpx2.AsyncClient(timeout=2) as client:
            for _ in range(READY_SECONDS * 20):
                with suppress(httpx2.HTTPError):
                    if (await client.get(f"{self.management_url}/ready")).status_code == 200:
                        return
                if self.process.returncode is not None:
                    break
                await asyncio.sleep(0.05)
        logs = [self.folder / name for name in ("rollbook.log", "postgres.log")]
        ends = [log.read_text()[-2000:] for log in logs if log.exists()]
        raise AssertionError("\n".join(ends))

    async def ready(self) -> dict[str, Any]:
        """What /ready says, which must come in time and fit its status."""
        async with httpx2.AsyncClient(timeout=10) as client:
            answer = await client.get(f"{self.management_url}/ready")
        said: dict[str, Any] = answer.json()
        assert (answer.status_code, said["status"]) in ((200, "ready"), (503, "not ready"))
        return said

    async def says(self, ready: bool, degraded: bool = False) -> None:
        """Until /ready says this, for a minute at most."""
        for _ in range(READY_SECONDS * 10):
            said = await self.ready()
            if (said["status"] == "ready", "degraded" in said) == (ready, degraded):
                return
            await asyncio.sleep(0.1)
        raise AssertionError(said)

    def members(self) -> list[psutil.Process]:
        """Everything that it started and that still runs: its session, and whom that has started."""
        found: dict[int, psutil.Process] = {}
        for process in psutil.process_iter():
            with suppress(ProcessLookupError, psutil.Error):
                if self.process is not None and os.getsid(process.pid) == self.process.pid:
                    found |= {one.pid: one for one in (process, *process.children(recursive=True)) if is_alive(one)}
        return list(found.values())

    def programs(self) -> set[str]:
        """The names of all that runs."""
        return {program(one) for one in self.members()} - {""}

    def member(self, name: str) -> psutil.Process:
        """The oldest process of a program that it runs."""
        return min((one for one in self.members() if program(one) == name), key=lambda one: one.create_time())

    def send(self, number: signal.Signals) -> list[psutil.Process]:
        """A signal to everything, servers first, so that nobody mourns its parent; whom it went to."""
        members = sorted(self.members(), key=lambda one: one.create_time(), reverse=True)
        for one in members:
            with suppress(psutil.NoSuchProcess):
                one.send_signal(number)
        return members

    async def kill_all(self) -> set[str]:
        """kill -9 of everything at once, and proof that all of it is dead; the programs that were killed."""
        assert self.process is not None
        programs = self.programs()
        killed = self.send(signal.SIGKILL)
        await self.process.wait()
        for _ in range(200):
            if not self.members() and not any(is_alive(one) for one in killed):
                return programs
            await asyncio.sleep(0.05)
        raise AssertionError(f"still alive: {self.members()}")

    async def wait_dead(self) -> None:
        """Until a failpoint has killed it; what it leaves behind is killed too."""
        assert self.process is not None
        assert await asyncio.wait_for(self.process.wait(), 60) == -signal.SIGKILL
        await self.kill_all()

    async def terminate(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), 30)
