"""A log of two organisations, sealed twice, and what somebody with every right does to it."""

import sys
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from subprocess import run

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.postgres.sealing import Sealer
from application.deployments import schedule_deployment
from domain.checkpoint import exported
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

    def verify(self, *more: str) -> tuple[int, str]:
        """The exit code of the verifier, run as a file of its own, and what it says."""
        command = [sys.executable, "-I", str(VERIFIER), self.url, "--checkpoints", str(self.checkpoints), *more]
        done = run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
async def log(kernel: Kernel, database: Database, tmp_path: Path) -> Log:
    """Twelve deployments of two organisations in turn, sealed after six and after all."""
    key = Ed25519PrivateKey.generate()
    public = b64encode(key.public_key().public_bytes_raw()).decode()
    sealer = Sealer(kernel.pools, lambda text: b64encode(key.sign(text)).decode(), public)
    lines = []
    for number in range(12):
        await kernel.run(schedule_deployment, schedule(), organisation=("acme", "other")[number % 2])
        if number in (5, 11):
            sealed = await sealer.seal()
            assert sealed and await sealer.seal() is None
            leaves = [head.leaf() for head in sealed.heads]
            lines.append(exported(sealed.checkpoint.text(), sealed.signature, public, leaves, range(len(leaves))))
    path = tmp_path / "checkpoints.ndjson"
    path.write_text("\n".join(lines) + "\n")
    return Log(database.admin_url, path, public)
