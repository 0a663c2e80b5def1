"""Whatever the OpenAPI document allows is answered as it says, and whatever it does not allow is refused."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Database, Running, running_rollbook, settings_for
from tests.identity.providers import SigningKey, serving

HERE = Path(__file__).parent


@pytest.fixture
async def guarded(database: Database, tmp_path: Path) -> AsyncIterator[tuple[Running, str]]:
    """A Rollbook that asks who is there, and a token of an administrator whom no request can turn away."""
    async with serving() as stage:
        key, issuer = (
            SigningKey("first"),
            {"issuer": stage.url, "audience": "rollbook", "role": "admin", "organisations": ["acme"]},
        )
        stage.begin().keys = [key.public_jwk()]
        facts = {"auth_enabled": True, "oidc_issuers": [issuer], "github_api_url": stage.url}
        settings = settings_for(tmp_path, default_environment="production", **facts)
        async with running_rollbook(settings, database) as running:
            yield running, key.sign(claims(stage.url))


def claims(issuer: str) -> dict[str, Any]:
    """Who asks, for an hour."""
    now = int(time.time())
    facts = {"repository_owner": "acme", "repository": "acme/shop", "workflow": "deploy", "actor": "octo"}
    return {"iss": issuer, "aud": "rollbook", "iat": now, "nbf": now, "exp": now + 3600, "sub": "octo", **facts}


async def check(running: Running, token: str, folder: Path, *options: str) -> None:
    """Runs all of its phases and checks; fails with what it reports."""
    command = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(HERE / "schemathesis.toml")]
    command += ["run", f"{running.url}/openapi.json", "--header", f"Authorization: Bearer {token}"]
    # A token that is no JWT is asked for its organisation before it is refused.
    command += ["--header", "X-Organisation: acme"]
    command += ["--checks", "all", "--continue-on-failure", "--no-color", "--request-timeout", "20", *options]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE), "SCHEMATHESIS_HOOKS": "schemathesis_hooks"}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        report, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, report.decode()[-20_000:]


async def test_the_document_is_true(guarded: tuple[Running, str], tmp_path: Path) -> None:
    await check(*guarded, tmp_path, "--max-time", "20", "--seed", "4711", "--max-examples", "15")


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_the_document_is_true_for_a_long_time(guarded: tuple[Running, str], tmp_path: Path) -> None:
    await check(*guarded, tmp_path, "--max-time", "120", "--seed", "2026", "--max-examples", "400")
