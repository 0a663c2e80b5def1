"""Two releases as processes: the one before is this tree, the next one a copy of it with a small patch."""

import asyncio
import os
import re
import shutil
import sys
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from adapters.embedded.nats import EmbeddedNats
from projections.registry import DEPLOYMENTS
from tests.conftest import Database, reserved_port

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("domain", "application", "projections", "adapters", "entrypoints")
READY_SECONDS = 60
NEXT_VERSION = DEPLOYMENTS.version + 1
ALL_APART = ("serve", "project", "relay", "work")
START = "from entrypoints.cli.main import main; main()"
# One more version of an event, with an upcaster; one more version of a read model, with a column; one more column.
PATCH = {
    "domain/deployment.py": [
        (
            r'TOPIC = "deployment.annotated"\n        changes: dict\[str, str \| None\]\n',
            'TOPIC = "deployment.annotated"\n'
            "        class_version = 2\n"
            "        changes: dict[str, str | None]\n"
            "        channel: str\n\n"
            "        @staticmethod\n"
            "        def upcast_v1_v2(state: dict[str, Any]) -> None:\n"
            '            state["channel"] = "unknown"\n',
        ),
        (
            r"self\.Annotated, timestamp=at, changes=changes",
            'self.Annotated, timestamp=at, changes=changes, channel="api"',
        ),
    ],
    "projections/deployments.py": [
        (r"version: ClassVar\[int\] = \d+", f"version: ClassVar[int] = {NEXT_VERSION}"),
        (r'"lane_id": "uuid",', '"lane_id": "uuid",\n        "channel": "text",'),
        (r"EMPTY = \{", 'EMPTY = {"channel": None, '),
        (r'changed \|= data\["changes"\]', 'changed |= data["changes"] | {"channel": data["channel"]}'),
    ],
}
STEP = "alter table rollbook.commands add column channel text;\n"


def next_release(folder: Path) -> Path:
    """The patched copy; fails when a patch does not find its place."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, changes in PATCH.items():
        text = (folder / name).read_text()
        for pattern, replacement in changes:
            before, *after = re.split(pattern, text)
            assert len(after) == 1, (name, pattern)
            text = before + replacement + after[0]
        (folder / name).write_text(text)
    (folder / "adapters/postgres/schema/900_channels.sql").write_text(STEP)
    return folder


@dataclass
class Release:
    """The processes of one tree, on a database and a broker that others use too: `up`, or parts apart."""

    tree: Path
    database: Database
    nats: EmbeddedNats
    log: Path
    parts: tuple[str, ...] = ("up",)
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.api = reserved_port()
        self.management = {part: reserved_port() for part in self.parts}

    async def start(self) -> None:
        """Returns at once; its home is the tree, so that its packages are the ones that are found."""
        with open(self.log, "ab") as output:
            self.processes = [
                await asyncio.create_subprocess_exec(
                    *(sys.executable, "-c", START, part),
                    stdout=output,
                    stderr=output,
                    env=self.environment(part),
                    cwd=self.tree,
                )
                for part in self.parts
            ]

    def environment(self, part: str) -> dict[str, str]:
        """The settings of one process."""
        return {
            "PATH": os.environ["PATH"],
            "AUTH_ENABLED": "false",
            "DATA_DIR": str(self.log.parent),
            "DATABASE_URL": self.database.app_url,
            "DATABASE_OWNER_URL": self.database.owner_url,
            "NATS_URL": self.nats.url,
            "MASTER_KEY": b64encode(b"k" * 32).decode(),
            "API_PORT": str(self.api),
            "MANAGEMENT_PORT": str(self.management[part]),
            "KEEP_OLD_READ_MODELS_SECONDS": "10",
            "READ_WAIT_MS": "2000",
        }

    async def end(self) -> set[int]:
        """SIGTERM to all; their exit codes."""
        return set(await asyncio.gather(*map(ended, self.processes)))

    async def ready(self) -> tuple[set[int], str]:
        """What /ready says of each process, and of all that fails."""
        async with httpx2.AsyncClient(timeout=10) as http:
            answers = [await http.get(f"http://127.0.0.1:{port}/ready") for port in self.management.values()]
        return {a.status_code for a in answers}, " ".join(str(a.json().get("failing", "")) for a in answers)

    async def until_ready(self) -> None:
        """Until /ready of all says yes."""
        await self.until(lambda statuses, _: statuses == {200})

    async def until(self, fits: Callable[[set[int], str], bool]) -> None:
        """Until all answer, and what they say fits."""
        async with asyncio.timeout(READY_SECONDS):
            while True:
                with suppress(httpx2.HTTPError):
                    if fits(*await self.ready()):
                        return
                assert {process.returncode for process in self.processes} == {None}, self.log.read_text()[-3000:]
                await asyncio.sleep(0.1)


async def ended(process: asyncio.subprocess.Process) -> int:
    """The exit code after SIGTERM, or in the end after SIGKILL."""
    if process.returncode is None:
        process.terminate()
    try:
        return await asyncio.wait_for(process.wait(), 30)
    except TimeoutError:
        process.kill()
        return await process.wait()
