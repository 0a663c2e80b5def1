"""A log of two organisations, sealed twice, and what somebody with every right does to it."""

import sys
from argparse import Namespace
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from subprocess import run
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.postgres.checkpoints import Checkpoints
from adapters.postgres.sealing import Sealer
from application.deployments import schedule_deployment
from entrypoints.verify.rollbook_verify import LAST, verified
from tests.conftest import Database
from tests.kernel.conftest import Kernel
from tests.kernel.conftest import kernel as kernel
from tests.kernel.test_append import schedule

VERIFIER = Path(__file__).parents[2] / "entrypoints" / "verify" / "rollbook_verify.py"


@dataclass
class Log:
    """A log, and the file of checkpoints that was exported from it."""

    url: str
    checkpoints: Path
    key: str

    def tamper(self, statement: str) -> None:
        """As a superuser who turns off whatever is in the way."""
        with psycopg.connect(self.url, autocommit=True) as admin:
            admin.execute("set session_replication_role = replica")
            admin.execute(statement.encode())

    def verify(self, **options: Any) -> tuple[int, str]:
        """The exit code of the verifier, and what it says."""
        told = {"log": self.url, "checkpoints": str(self.checkpoints), "key": None, "after": 0, "to": LAST, **options}
        verdict = verified(Namespace(**told))
        return verdict["code"], verdict["verdict"]

    def verify_apart(self, *more: str) -> tuple[int, str]:
        """The same as a file of its own, with nothing of ours beside it."""
        command = [sys.executable, "-I", str(VERIFIER), self.url, "--checkpoints", str(self.checkpoints), *more]
        done = run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr


@dataclass
class Sealed:
    """A log that is sealed as it grows, and what was exported of that."""

    kernel: Kernel
    key: Ed25519PrivateKey
    path: Path
    url: str

    @property
    def sealer(self) -> Sealer:
        """Seals under the test's key."""
        return Sealer(self.kernel.pools, lambda text: b64encode(self.key.sign(text)).decode(), self.public)

    @property
    def public(self) -> str:
        """What the verifier is told to believe."""
        return b64encode(self.key.public_key().public_bytes_raw()).decode()

    async def grow(self, deployments: int) -> None:
        """Deployments of two organisations in turn, and a checkpoint behind them."""
        for number in range(deployments):
            await self.kernel.run(schedule_deployment, schedule(), organisation=("acme", "other")[number % 2])
        assert await self.sealer.seal()
        assert await self.sealer.seal() is None

    async def export(self) -> Log:
        """What is sealed goes to the end of the file, also what stands there already."""
        async with self.kernel.pools.projector.connection() as connection:
            found = await Checkpoints(self.kernel.pools).whole(connection, 0, 100)
        with self.path.open("a") as file:
            file.writelines(f"{one.line}\n" for one in found)
        return Log(self.url, self.path, self.public)


@pytest.fixture
async def sealed(kernel: Kernel, database: Database, tmp_path: Path) -> Sealed:
    """Nothing is in it yet."""
    return Sealed(kernel, Ed25519PrivateKey.generate(), tmp_path / "checkpoints.ndjson", database.admin_url)


@pytest.fixture
async def log(sealed: Sealed) -> Log:
    """Twelve deployments, sealed after six and after all."""
    await sealed.grow(6)
    await sealed.grow(6)
    return await sealed.export()
