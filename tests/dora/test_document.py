"""docs/dora.md tells an example, which was lived through and asked about."""

import asyncio
import re
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from application.ports.event_store import Circumstances
from tests.cli.stand_in import rollbook
from tests.conftest import Running
from tests.dora.conftest import change, report
from tests.dora.test_against_naive import correct
from tests.queue.conftest import Queue
from tests.reference.stories import AROUND

pytestmark = pytest.mark.asyncio(loop_scope="session")
DOCUMENT = (Path(__file__).parents[2] / "docs" / "dora.md").read_text()
COMMAND, SAID = re.findall(r"`rollbook (dora .+?)` says:\n\n```\n(.+?)```", DOCUMENT, re.DOTALL)[0]
AROUND_IT: Circumstances = AROUND


def rows(number: int) -> list[list[str]]:
    """The cells of one of the tables of the example."""
    tables = re.findall(r"(?:^\|.*\n)+", DOCUMENT.partition("## An example")[2], re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in tables[number].splitlines()[2:]]


async def live_through(running: Running, queue: Queue) -> None:
    """The deployments and incidents of the tables."""
    made: dict[str, Any] = {}
    for name, component, committed, went_live, what in rows(0):
        if what == "the rollback":
            path = f"/v1/deployments/{made[previous(name)]['id']}/rollback"
            made[name] = await queue.report(await queue.ask("POST", path, 201), "deployed")
        else:
            made[name] = await queue.live(name, name=component, committed_at=committed or None)
        asked = (UUID(made[name]["id"]), datetime.fromisoformat(went_live))
        await running.app.executor.execute(queue.organisation, AROUND_IT, correct, asked)
    for _, began, ended, caused, fixed in rows(1):
        links = [(one, relation) for one, relation in ((caused, "caused"), (fixed, "fixed")) if one]
        told = [{"deployment_id": made[one]["id"], "relation": relation} for one, relation in links]
        incident = await report(queue, began_at=began, deployments=told)
        if ended:
            await change(queue, incident, "resolve", ended_at=ended)


def previous(name: str) -> str:
    """The deployment before this one."""
    return str(int(name) - 1)


async def test_the_example_says_what_is_printed_there(quiet: Running, queue: Queue) -> None:
    await live_through(quiet, queue)
    around = {"API_URL": quiet.url, "ORG": queue.organisation, "PYTHONIOENCODING": "utf-8"}
    ended = await asyncio.to_thread(rollbook, *COMMAND.split(), **around)
    assert ended.out == SAID, ended.err
