"""`rollbook replay` at a real Rollbook, and from a file with nobody to ask."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from adapters.postgres.log import COLUMNS
from domain.recorded import RecordedEvent
from tests.cli.stand_in import Ended, rollbook
from tests.conftest import Running
from tests.queue.conftest import Queue
from tests.redeciding.histories import exported
from tests.sharing import own_organisation

pytestmark = pytest.mark.asyncio(loop_scope="session")
NEVER = "auto_skip: {by: never}\n"
NOWHERE = {"API_URL": "http://127.0.0.1:1", "ORG": "acme"}


class History:
    """One deployment was skipped for another; both ends of that are known."""

    def __init__(self, rollbook: Running, queue: Queue, older: Any, newer: Any) -> None:
        self.rollbook, self.queue, self.older, self.newer = rollbook, queue, older, newer

    async def file(self, folder: Path) -> Path:
        """Everything, as an export."""
        query = f"select {COLUMNS} from rollbook.events where organisation = %s order by position"
        async with self.rollbook.app.pools.reading(self.queue.organisation) as connection:
            rows = await (await connection.execute(query.encode(), [self.queue.organisation], binary=True)).fetchall()
        path = folder / "events.ndjson"
        path.write_text("\n".join(exported([RecordedEvent(*row) for row in rows])) + "\n")
        return path


@pytest_asyncio.fixture(loop_scope="session")
async def past(quiet: Running) -> History:
    queue = Queue(quiet.client, own_organisation())
    older = await queue.create("1.0")
    return History(quiet, queue, older, await queue.live("1.1"))


async def run(*arguments: Any, code: int = 0, at: dict[str, str] = NOWHERE) -> Ended:
    """One command line."""
    ended = await asyncio.to_thread(rollbook, "replay", *map(str, arguments), **at)
    assert ended.code == code, ended
    return ended


async def bundled(past: History, folder: Path, first: int) -> Path:
    """A bundle of everything behind a position."""
    body, headers = {"from": str(first)}, past.queue.headers
    answer = await past.queue.client.post("/v1/bundles", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    path = folder / "incident.zip"
    path.write_bytes(answer.content)
    return path


def rule_file(folder: Path, text: str) -> Path:
    """Rules to try."""
    path = folder / "rules.yaml"
    path.write_text(text)
    return path


async def test_from_a_file_it_asks_nobody_and_says_the_same_bytes_again(past: History, tmp_path: Path) -> None:
    arguments = ("--rules", rule_file(tmp_path, NEVER), "--events", await past.file(tmp_path), "--json")
    first, second = await run(*arguments), await run(*arguments)
    assert first.out == second.out
    (found,) = first.json["differences"]
    assert (found["kind"], found["deployment_id"]) == ("kept", past.older["id"])
    assert found["was"] == f"skipped by {past.newer['id']} (1.1)"


async def test_from_a_server_it_fetches_the_history_and_forgets_it(past: History, tmp_path: Path) -> None:
    environment = {"API_URL": past.rollbook.url, "ORG": past.queue.organisation}
    rules = rule_file(tmp_path, json.dumps({"auto_skip": {"by": "never"}}))
    shown = await run("--rules", rules, at=environment)
    assert "stays in the queue" in shown.out
    assert "1 decisions would have been otherwise" in shown.err
    ahead = await run("--rules", rules, "--from", past.newer["updated_at"], "--json", at=environment)
    assert ahead.json["differences"] == []


async def test_a_beginning_that_a_server_does_not_know_is_refused_by_the_name_of_its_option(
    past: History, tmp_path: Path
) -> None:
    environment = {"API_URL": past.rollbook.url, "ORG": past.queue.organisation}
    asked = ("--rules", rule_file(tmp_path, NEVER), "--json")
    assert "from names neither" in (await run(*asked, "--from", "prod~1", code=1, at=environment)).err
    assert "to names neither" in (await run(*asked, "--to", "prod~1", code=1, at=environment)).err
    ended = await run(*asked, "--from", "production~1", at=environment)
    assert [one["deployment_id"] for one in ended.json["differences"]] == [past.older["id"]]


async def test_the_span_is_told_by_positions_or_moments(past: History, tmp_path: Path) -> None:
    file, rules = await past.file(tmp_path), rule_file(tmp_path, NEVER)

    async def count(*span: Any) -> int:
        ended = await run("--rules", rules, "--events", file, "--json", *span)
        return len(ended.json["differences"])

    position = (await past.queue.show(past.newer))["position"]
    assert await count("--from", position, "--to", position) == 1
    assert await count("--to", past.newer["created_at"]) == 0
    assert await count("--from", "-1h") == 1


async def test_a_bundle_is_enough_to_decide_its_span_again(past: History, tmp_path: Path) -> None:
    file, rules = await past.file(tmp_path), rule_file(tmp_path, NEVER)
    begin = (await past.queue.show(past.older))["position"] - 1
    await past.queue.live("1.2")
    bundle = await bundled(past, tmp_path, (await past.queue.show(past.newer))["position"] - 1)
    by_bundle = await run("--rules", rules, "--bundle", bundle, "--json")
    assert [one["was"] for one in by_bundle.json["differences"]] == [f"skipped by {past.newer['id']} (1.1)"]
    span = ("--from", by_bundle.json["from"], "--to", begin + 99)
    assert (await run("--rules", rules, "--events", file, "--json", *span)).json["differences"] == by_bundle.json[
        "differences"
    ]


async def test_a_bundle_that_is_none_or_holds_another_span_is_refused(past: History, tmp_path: Path) -> None:
    rules, first = rule_file(tmp_path, NEVER), (await past.queue.show(past.newer))["position"]
    bundle = await bundled(past, tmp_path, first)
    (cut := tmp_path / "cut.zip").write_bytes(bundle.read_bytes()[:-100])
    for arguments, said in (
        (("--bundle", tmp_path / "none"), "cannot be read"),
        (("--bundle", rules), "is no bundle"),
        (("--bundle", cut), "is no bundle"),
        (("--bundle", bundle, "--from", first), f"The bundle holds positions {first + 1} to "),
        (("--bundle", bundle, "--from", "-1h"), f"The bundle holds positions {first + 1} to "),
        (("--bundle", bundle, "--events", rules), "one of --events and --bundle"),
    ):
        assert said in (await run("--rules", rules, *arguments, code=2)).err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("auto_skip: {by: size}", "auto_skip.by"),
        ("auto_skips: {by: age}", "auto_skips"),
        ("freezes: {remove: [{}]}", "give one of id, scope and all"),
        ("freezes: {add: [{from: 2026-01-01T00:00:00}]}", "freezes.add.0.from"),
        ("approval: {add: [{scope: {country: x}}]}", "approval.add.0.scope.country"),
        ("- 1", "the file"),
        ("a: [", "neither YAML nor JSON"),
        ("!!python/object:os.system {}", "neither YAML nor JSON"),
    ],
)
async def test_rules_that_make_no_sense_are_refused(tmp_path: Path, text: str, said: str) -> None:
    ended = await run("--rules", rule_file(tmp_path, text), "--events", tmp_path / "none", code=2)
    assert said in ended.err


async def test_files_and_ends_that_make_no_sense_are_refused(past: History, tmp_path: Path) -> None:
    file, rules = await past.file(tmp_path), rule_file(tmp_path, NEVER)
    for arguments, said in (
        (("--events", tmp_path / "none"), "cannot be read"),
        (("--events", rules), "Line 1 is not a JSON object"),
        (("--events", file, "--from", "production~1"), "must be a position"),
        (("--events", file, "--to", "soon"), "to is no reference"),
    ):
        assert said in (await run("--rules", rules, *arguments, code=2)).err
