"""Whole processes, started as a user starts them, on the servers of the session."""

import asyncio
import os
import sys
from pathlib import Path

from tests.conftest import open_folder

ROLLBOOK = Path(sys.executable).parent / "rollbook"
SECONDS = 60


async def told(*arguments: str, **settings: str) -> tuple[int, str]:
    """The exit code of a command that ends by itself, and what it said on standard error."""
    with open_folder("told") as folder:
        environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(folder), "API_PORT": "0", "MANAGEMENT_PORT": "0"}
        child = await asyncio.create_subprocess_exec(
            ROLLBOOK,
            *arguments,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=environment | settings,
            cwd=folder,
        )
        try:
            _, said = await asyncio.wait_for(child.communicate(), SECONDS)
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        assert child.returncode is not None
        return child.returncode, said.decode()
