"""Rollbook as its user runs it: API, read models and a worker, each a process; what they take is watched."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import Any, Self

import httpx2

from adapters.embedded.process import free_port
from tests.bench.ground import Database, Ground
from tests.bench.servers import Measured, start

PARTS = ("serve", "project", "work")
GIVE_UP_SECONDS = 3600.0
LOOK_SECONDS = 0.05
FILTER = {"tables": ["shops", "sales"]}
ENDED = {"completed", "failed", "cancelled", "timeout"}


class Ours:
    """The processes, and what a user asks them over HTTP. Each call answers seconds, and fails unless all went well."""

    def __init__(self, ground: Ground, database: Database, source: Database, target_url: str) -> None:
        self.ground = ground
        self.database = database
        self.environments = {"source": source.owner_url, "target": target_url}
        self.processes: dict[str, Measured] = {}
        self.client = httpx2.Client(timeout=600)
        self.packages = 0
        self.package = ""

    def __enter__(self) -> Self:
        folder = self.ground.folder / f"home-{self.database.name}"
        folder.mkdir(exist_ok=True, mode=0o700)
        file = folder / "environments.yaml"
        listed = [f"- {{name: {name}, kind: postgresql, dsn: '{dsn}'}}" for name, dsn in self.environments.items()]
        file.write_text("\n".join(listed))
        file.chmod(0o600)
        for part in PARTS:
            self.processes[part] = self.hired(part, folder, file)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            process.stop()
        self.client.close()

    def hired(self, part: str, folder: Path, environments: Path) -> Measured:
        """A process that is ready."""
        api, management = free_port(), free_port()
        facts = {"DATABASE_URL": self.database.app_url, "DATABASE_OWNER_URL": self.database.owner_url}
        facts |= {"NATS_URL": self.ground.broker.url, "AUTH_ENABLED": "false", "DATA_DIR": str(folder)}
        facts |= {"API_PORT": str(api), "MANAGEMENT_PORT": str(management), "LOG_LEVEL": "error"}
        facts |= {"ENVIRONMENTS_FILE": str(environments)}
        command = [str(Path(sys.executable).parent / "rollbook"), part]
        if part == "serve":
            return start(part, api, command, facts, "/openapi.json")
        return start(part, management, command, facts, "/health")

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What the API answers."""
        url = f"http://127.0.0.1:{self.processes['serve'].port}/api{path}"
        answered = self.client.request(method, url, json=body)
        if answered.status_code >= 400:
            raise RuntimeError(f"{method} {path}: {answered.status_code} {answered.text[:500]}")
        return answered.json()

    def until_ended(self, job: str) -> Any:
        """A job that went well."""
        until = monotonic() + GIVE_UP_SECONDS
        while (found := self.ask("GET", f"/jobs/{job}"))["status"] not in ENDED:
            if monotonic() > until:
                raise RuntimeError(f"{job} does not end")
            sleep(LOOK_SECONDS)
        if found["status"] != "completed":
            raise RuntimeError(f"{job}: {found['status']}: {found['last_error']}")
        return found

    def packed(self) -> float:
        """Makes a package of everything, whose name was never used."""
        self.packages += 1
        body = {"name": f"sales-{self.packages}", "version": "1", "package_type": "database", "environment": "source"}
        started = perf_counter()
        made = self.ask("POST", "/packages", {**body, "filter": FILTER, "run_as_background": True})
        self.package = made["package"]["id"]
        self.until_ended(made["job_id"])
        return perf_counter() - started

    def zipped(self, file: Path) -> float:
        """Exports it into a file."""
        started = perf_counter()
        url = f"http://127.0.0.1:{self.processes['serve'].port}/api/packages/{self.package}/generate"
        with self.client.stream("POST", url, json={"format": "zip"}) as answered, file.open("wb") as out:
            answered.raise_for_status()
            for chunk in answered.iter_bytes(1 << 20):
                out.write(chunk)
        return perf_counter() - started

    def deployed(self, **options: bool) -> float:
        """Deploys it; rows that are there are skipped unless `options` say otherwise."""
        body = {"environment": "target", "run_as_background": True, "options": options}
        started = perf_counter()
        job = self.ask("POST", f"/packages/{self.package}/deploy", body)["job_id"]
        self.until_ended(job)
        return perf_counter() - started

    @contextmanager
    def watched(self, peaks: dict[str, float]) -> Iterator[None]:
        """Notes the most memory in MB that each process held meanwhile."""
        for process in self.processes.values():
            Path(f"/proc/{process.process.pid}/clear_refs").write_text("5")
        yield
        for name, process in self.processes.items():
            peaks[name] = max(peaks.get(name, 0.0), peak_of(process.process.pid))


def peak_of(pid: int) -> float:
    """The most memory that a process held since that was reset, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1_000_000
