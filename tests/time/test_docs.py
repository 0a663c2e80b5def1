"""docs/time-travel.md: each reference of its table is one, and each of its commands works as it stands there."""

import asyncio
import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from domain.reference import parse
from tests.cli.stand_in import rollbook
from tests.queue.conftest import Queue

pytestmark = pytest.mark.asyncio(loop_scope="session")

DOCUMENT = (Path(__file__).parents[2] / "docs" / "time-travel.md").read_text()
REFERENCES = re.findall(r"^\| `([^`=]+)` \|", DOCUMENT, re.MULTILINE)
COMMANDS = re.findall(r"^\$ rollbook (.+)$", DOCUMENT, re.MULTILINE)


async def test_every_reference_of_the_table_is_one() -> None:
    assert len(REFERENCES) == 8
    for reference in REFERENCES:
        assert (parse(reference).name is None) == reference.startswith(("2", "4", "-"))


async def test_every_command_works_as_it_stands_there(queue: Queue) -> None:
    await queue.live("1")
    deployment = await queue.live("2")
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    assert len(COMMANDS) == 12
    for written in COMMANDS:
        # The document's days may be to come where this runs, and its minutes are longer than this store is old.
        line = written.replace("2026-10-02", yesterday).replace("-1m", "-0s").replace("ID", deployment["id"])
        server = {"API_URL": str(queue.client.base_url), "ORG": queue.organisation, "ROLLBOOK_TOKEN": "none"}
        ended = await asyncio.to_thread(rollbook, *shlex.split(line), **server)
        assert (ended.code, ended.err) == (0, ""), line
        assert ended.out or line.startswith("freezes"), line
