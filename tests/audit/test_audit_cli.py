"""Who audits on the command line finds, takes out, goes on, and verifies."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from adapters.checkpoint_choosing import sealer_of
from tests.cli.stand_in import Ended, rollbook
from tests.conftest import Database, Running
from tests.sharing import own_organisation

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Terminal:
    """Runs commands for one organisation, from a thread while the test's loop serves."""

    def __init__(self, rollbook: Running) -> None:
        self.rollbook = rollbook
        self.organisation = own_organisation()

    async def run(self, *words: str) -> Ended:
        """How it ended."""
        around = {"API_URL": self.rollbook.url, "ORG": self.organisation, "ROLLBOOK_TOKEN": "none"}
        return await asyncio.to_thread(rollbook, "audit", *words, **around)

    async def freeze(self, reason: str) -> None:
        """Something happens."""
        headers, body = {"X-Organisation": self.organisation}, {"scope": {}, "reason": reason}
        assert (await self.rollbook.client.post("/v1/freezes", json=body, headers=headers)).status_code == 201


@pytest_asyncio.fixture(loop_scope="session")
async def terminal(quiet: Running) -> Terminal:
    """Three freezes."""
    terminal = Terminal(quiet)
    for number in range(3):
        await terminal.freeze(f"Sale {number}")
    return terminal


async def test_events_are_told_in_words_and_in_json(terminal: Terminal) -> None:
    shown = await terminal.run("events", "--topic", "freezes.declared", "--limit", "2")
    assert shown.code == 0, shown.err
    assert [line.split()[3] for line in shown.out.splitlines()[-2:]] == ["freezes.declared"] * 2
    found = json.loads((await terminal.run("events", "--text", "sale 1", "--json")).out)
    assert [one["payload"]["freeze"]["reason"] for one in found] == ["Sale 1"]


async def test_the_past_is_searched_as_it_was_then(terminal: Terminal) -> None:
    sealer = sealer_of(terminal.rollbook.app.settings, terminal.rollbook.app.pools)
    newest = json.loads((await terminal.run("events", "--limit", "1", "--json")).out)[0]["position"]
    await terminal.freeze("Stocktaking")
    while await sealer.seal():
        pass
    asked = ("--as-of", str(newest))
    found = json.loads((await terminal.run("events", *asked, "--topic", "freezes.declared", "--json")).out)
    assert [one["payload"]["freeze"]["reason"] for one in found] == ["Sale 2", "Sale 1", "Sale 0"]
    now, then = [await terminal.run("checkpoints", *more) for more in ((), asked)]
    assert now.out.startswith(then.out)
    assert len(now.out.splitlines()) > len(then.out.splitlines())
    assert (await terminal.run("exports", *asked)).code == 0
    refused = await terminal.run("events", "--as-of", "2999-01-01T00:00:00Z")
    assert (refused.code, "future" in refused.err) == (1, True), refused


async def test_what_is_taken_out_verifies_and_an_edit_does_not(terminal: Terminal, tmp_path: Path) -> None:
    sealer = sealer_of(terminal.rollbook.app.settings, terminal.rollbook.app.pools)
    while await sealer.seal():
        pass
    file, sealed = tmp_path / "record.ndjson", tmp_path / "checkpoints.ndjson"
    taken = await terminal.run("export", str(file), "--json")
    assert taken.code == 0, taken.err
    told = json.loads(taken.out)
    assert told["events"] == len(file.read_text().splitlines()) - 1
    assert list(tmp_path.iterdir()) == [file], "nothing is left lying about"
    sealed.write_text((await terminal.run("checkpoints")).out)
    asked = ["--checkpoints", str(sealed), "--to", str(told["to_position"]), "--key", sealer.public_key]
    intact = await terminal.run("verify", str(file), *asked)
    assert (intact.code, intact.out.startswith("Intact")) == (0, True), intact
    file.write_text(file.read_text().replace("Sale 1", "Sale 9"))
    broken = await terminal.run("verify", str(file), *asked, "--json")
    assert (broken.code, json.loads(broken.out)["code"]) == (1, 1)
    assert json.loads((await terminal.run("exports", "--json")).out)[0]["id"] == told["id"]


async def test_the_database_of_this_machine_is_verified_where_no_log_is_named(
    terminal: Terminal, database: Database, tmp_path: Path
) -> None:
    own = {"DATABASE_URL": database.app_url, "DATABASE_OWNER_URL": database.owner_url, "DATA_DIR": str(tmp_path)}
    told = await asyncio.to_thread(rollbook, "audit", "verify", "--json", **own)
    assert (told.code, json.loads(told.out)["events"]) == (0, 0), told
    nowhere = await asyncio.to_thread(rollbook, "audit", "verify", DATA_DIR=str(tmp_path / "nothing"))
    assert (nowhere.code, "There is no Rollbook in" in nowhere.err) == (2, True), nowhere


async def test_what_was_cut_off_goes_on_where_it_ended(terminal: Terminal, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.ndjson", tmp_path / "cut.ndjson"
    told: Any = json.loads((await terminal.run("export", str(whole), "--json")).out)
    lines = whole.read_text().splitlines(keepends=True)
    cut.with_name("cut.ndjson.part").write_text("".join(lines[:2]) + lines[2][:20])
    cut.with_name("cut.ndjson.export").write_text(json.dumps(told))
    assert (await terminal.run("export", str(cut), "--resume")).code == 0
    assert cut.read_text() == whole.read_text()
    refused = await terminal.run("export", str(cut), "--resume")
    assert (refused.code, "Nothing that could be resumed" in refused.err) == (2, True)
