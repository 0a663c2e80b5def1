"""Keeps the mapping of a deployment that is there: its target remembers only the last, and none after a rollback."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from application.handlers import Attempt, log_facts
from application.ports.databases import Target
from application.ports.mappings import Mappings
from domain.errors import RollbookError

# How long who was called off may still take: its worker has to stop.
LAST_SECONDS = 8.0
LOST = "The mapping of keys was not kept, and only the present one can be asked for"


@dataclass(frozen=True, slots=True)
class Keeping:
    """Keeps the mapping of one deployment. Whatever becomes of that, the deployment is there."""

    mappings: Mappings
    target: Target
    deployment_id: str
    attempt: Attempt

    async def added(self, told: dict[str, Any]) -> dict[str, Any]:
        """What a deployment's event tells, with where its mapping is kept, or a warning that says why it is not."""
        if not told["mapped"]:
            return told
        try:
            return {**told, "kept": await self.digest(tuple(told["mapped"]))}
        except asyncio.CancelledError:
            why = "the job was called off"
        except TimeoutError:
            why = "it took too long"
        except RollbookError as refusal:
            why = refusal.message
        except Exception as problem:  # Rows that are there are not to be told as failed, whatever goes wrong here.
            why = type(problem).__name__
        warning = f"{LOST}: {why}"
        log_facts(self.attempt, warning=warning)
        return {**told, "warnings": [*told["warnings"], warning]}

    async def digest(self, tables: Sequence[str]) -> str:
        """Where the mapping is kept. Who is called off meanwhile begins once more and has a few seconds."""
        try:
            async with asyncio.timeout(LAST_SECONDS if was_cancelled() else None):
                return await self.mappings.keep(self.target, self.deployment_id, tables)
        except asyncio.CancelledError:
            async with asyncio.timeout(LAST_SECONDS):
                return await self.mappings.keep(self.target, self.deployment_id, tables)


def was_cancelled() -> bool:
    """Whether the attempt was called off in a moment that had to be lived through."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
