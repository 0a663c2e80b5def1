"""`rollbook debug`, typed at a real Rollbook: through a deployment's life and back, by what is told on stdin."""

import asyncio
import json
from typing import Any

import pytest
import pytest_asyncio

from domain.recorded import RecordedEvent
from entrypoints.cli.debugging import ROWS, life_of_stream
from tests.cli.stand_in import Ended, rollbook
from tests.conftest import Running
from tests.kernel.acting import Acting
from tests.kernel.acts import OPENING
from tests.kernel.conftest import Kernel
from tests.kernel.conftest import kernel as kernel
from tests.queue.conftest import Queue
from tests.redeciding.histories import recorded
from tests.sharing import own_organisation

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Terminal:
    """Somebody at a terminal, and a deployment with a life: claimed, noted on, live, rolled back."""

    def __init__(self, rollbook: Running, organisation: str, deployment_id: str) -> None:
        self.rollbook = rollbook
        self.environment = {"API_URL": rollbook.url, "ORG": organisation}
        self.deployment_id = deployment_id

    async def types(self, *lines: str, code: int = 0) -> Ended:
        """What comes of these lines."""
        return await self.run("\n".join(lines), "debug", self.deployment_id, code=code)

    async def reads(self, *lines: str) -> list[Any]:
        """The same for a program, without the greeting."""
        ended = await self.run("\n".join(lines), "debug", self.deployment_id, "--json")
        return [json.loads(line) for line in ended.out.splitlines()][1:]

    async def run(self, given: str, *arguments: str, code: int = 0) -> Ended:
        """One command line."""
        ended = await asyncio.to_thread(rollbook, *arguments, given=given, **self.environment)
        assert ended.code == code, ended
        return ended


@pytest_asyncio.fixture(loop_scope="session")
async def terminal(quiet: Running) -> Terminal:
    queue = Queue(quiet.client, own_organisation())
    await queue.live("1.0", notes="the one before")
    made = await queue.create("1.1")
    await queue.claim()
    await queue.ask("PATCH", f"/v1/deployments/{made['id']}", json={"notes": "almost"})
    await queue.report(made, "deployed")
    await queue.ask("POST", f"/v1/deployments/{made['id']}/rollback", 201)
    return Terminal(quiet, queue.organisation, made["id"])


TOPICS = ["scheduled", "claimed", "annotated", "deployed", "rolled_back"]


async def test_it_goes_on_and_back_and_to_a_step(terminal: Terminal) -> None:
    told = await terminal.reads("next", "n", "next 2", "back", "b 9", "goto 5", "goto 0")
    assert [one["step"] for one in told] == [1, 2, 4, 3, 0, 5, 0]
    assert [one["entry"] and one["entry"]["topic"] for one in told][:4] == [
        "deployment.scheduled",
        "deployment.claimed",
        "deployment.deployed",
        "deployment.annotated",
    ]
    assert {one["of"] for one in told} == {5}
    assert [one["step"] for one in await terminal.reads("forward", "f 2", "jump 5", "j 0")] == [1, 3, 5, 0]


async def test_it_goes_to_where_the_log_was_at_a_position(terminal: Terminal) -> None:
    positions = [entry["position"] for entry in (await terminal.reads("events"))[0]["events"]]
    told = await terminal.reads(f"goto #{positions[1]}", f"goto {positions[3] + 1}")
    assert [one["step"] for one in told] == [2, 4]
    before = await terminal.types(f"goto #{positions[0] - 1}")
    assert "Nothing had happened to it at position" in before.err


async def test_it_shows_all_events_and_marks_the_present_one(terminal: Terminal) -> None:
    (told,) = await terminal.reads("events")
    assert [one["topic"].removeprefix("deployment.") for one in told["events"]] == TOPICS
    lines = (await terminal.types("next 3", "events")).out.splitlines()
    assert [line[:5].strip() for line in lines[-5:]] == ["1", "2", ">   3", "4", "5"]


async def test_a_difference_is_what_the_step_changed_in_the_aggregate_and_in_the_row(terminal: Terminal) -> None:
    _, told, _, back = await terminal.reads("next 2", "diff", "next", "diff")
    changed = {one["field"]: (one["before"], one["after"]) for one in told["diff"]}
    assert changed["status"] == ("scheduled", "in_progress")
    assert changed["claimed"] == (False, True)
    assert changed["row.claimed_by"] == (None, "runner-1")
    assert {one["field"]: one["after"] for one in back["diff"]}["row.notes"] == "almost"


async def test_the_last_row_is_the_one_that_the_list_shows(terminal: Terminal) -> None:
    _, told = await terminal.reads("goto 5", "state")
    shown = (await terminal.run("", "show", terminal.deployment_id, "--json")).json
    known = {name.removeprefix("row."): value for name, value in told["state"].items() if name.startswith("row.")}
    assert {name: known[name] for name in shown.keys() & known.keys()} == {
        n: shown[n] for n in shown.keys() & known.keys()
    }
    assert told["state"]["status"] == shown["status"] == "rolled_back"


async def test_a_break_stops_where_a_field_changes_or_becomes_a_value(terminal: Terminal) -> None:
    told = await terminal.reads("break status=deployed", "continue", "goto 0", "break row.notes", "continue", "c", "c")
    assert told[0]["breaks"] == {"status": "deployed"}
    assert [(one["step"], one.get("stopped_by")) for one in told[1:] if "step" in one] == [
        (4, ["status"]),
        (0, None),
        (3, ["row.notes"]),
        (4, ["status"]),
        (5, []),
    ]


async def test_without_a_break_it_goes_on_to_the_end(terminal: Terminal) -> None:
    ended = await terminal.types("continue")
    assert ended.out.splitlines()[-1].startswith("5/5")
    assert "This is where it ends" in ended.err


async def test_it_tells_who_asked_and_by_which_rule_it_was_decided(terminal: Terminal) -> None:
    _, who, why = await terminal.reads("goto 2", "command", "decision")
    assert (who["actor"], who["interface"]) == ("local-dev", "queue")
    assert len(who["cause"]["correlation_id"]) == 32
    assert why["decision"]["rule"] == "rollback-first-then-newest"
    assert why["decision"]["inputs"]["lane_version"] == 4


async def test_help_names_every_verb_and_quit_ends_it(terminal: Terminal) -> None:
    told = (await terminal.types("help", "quit", "next")).out
    for verb in ("next", "back", "goto", "state", "diff", "events", "command", "decision", "break", "continue"):
        assert f"\n{verb} " in f"\n{told}"
    assert "1/5" not in told


async def test_what_is_not_understood_is_said_and_the_rest_goes_on(terminal: Terminal) -> None:
    ended = await terminal.types("jump", "next x", "goto -1", "break nothing", "\x1b[2J", "next", code=2)
    assert ended.err.count("Not understood") == 5
    assert "\x1b" not in ended.err
    assert ended.out.splitlines()[-1].startswith("1/5")


async def test_an_unknown_deployment_has_no_life(terminal: Terminal) -> None:
    ended = await terminal.run("next", "debug", "00000000-0000-4000-8000-000000000000", code=4)
    assert "Deployment not found" in ended.err


async def lived(terminal: Terminal, thing: str, *lines: str) -> list[Any]:
    """What is told of something that is no deployment, without the greeting."""
    ended = await terminal.run("\n".join(lines), "debug", thing, "--json")
    return [json.loads(line) for line in ended.out.splitlines()][1:]


async def test_a_lane_has_a_life_too(terminal: Terminal) -> None:
    (shown,) = (await terminal.run("", "lanes", "--json")).json
    lane = f"lane-{shown['id']}"
    first, end, state = await lived(terminal, lane, "next", "continue", "state")
    assert first["entry"]["topic"] == "lane.opened" and first["entry"]["actor"] == "local-dev"
    known = {name.removeprefix("row."): value for name, value in state["state"].items() if name.startswith("row.")}
    assert end["step"] == end["of"] == state["step"]
    assert {name: known[name] for name in ("id", "name", "region")} == {n: shown[n] for n in ("id", "name", "region")}
    assert state["state"]["last_number"] == 3


async def test_so_has_an_incident_and_whatever_else_is_on_record(terminal: Terminal) -> None:
    report = ("incident", "report", "Checkout is down", "--began", "2026-03-01T12:00:00Z", "--json")
    incident = (await terminal.run("", *report)).json
    await terminal.run("", "incident", "resolve", incident["id"])
    told = await lived(terminal, f"incident-{incident['id']}", "next", "next", "diff")
    assert [one["entry"]["topic"] for one in told[:2]] == ["incident.reported", "incident.resolved"]
    changed = {one["field"]: one["after"] for one in told[2]["diff"]}
    assert changed["ended"] is True and changed["row.ended_at"]


async def test_a_deployment_may_be_named_as_the_audit_names_it(terminal: Terminal) -> None:
    told = await lived(terminal, f"deployment-{terminal.deployment_id}", "next")
    assert told == await terminal.reads("next")


@pytest.mark.parametrize("thing", ["lane-00000000-0000-4000-8000-000000000000", "job-x", "lane-", "job-' or 1=1"])
async def test_of_what_is_not_on_record_there_is_no_life(terminal: Terminal, thing: str) -> None:
    assert f"Nothing is on record of {thing}" in (await terminal.run("next", "debug", thing, code=4)).err


def audited(event: RecordedEvent) -> dict[str, Any]:
    """An event as the audit tells it."""
    names = ("position", "commit_position", "stream_id", "version", "topic", "schema_version")
    told = {name: getattr(event, name) for name in names} | {"event_id": str(event.event_id), "hash": event.hash.hex()}
    words = {"summary": event.topic, "actor": {"login": "ann"}, "recorded_at": event.recorded_at.isoformat()}
    return {**told, **words, "envelope": event.envelope, "payload": event.data}


async def test_each_kind_of_thing_has_a_life(kernel: Kernel) -> None:
    await Acting(kernel).live_through(OPENING)
    streams: dict[str, list[dict[str, Any]]] = {}
    for event in await recorded(kernel):
        streams.setdefault(event.stream_id, []).append(audited(event))
    assert {stream.partition("-")[0] for stream in streams} >= {"job", "data_deployment", "package", "incident"}
    for stream, events in streams.items():
        life = life_of_stream(stream, events)
        assert [step.entry["topic"] for step in life.steps] == [event["topic"] for event in events]
        assert bool(life.steps[0].row) == (stream.partition("-")[0] in ROWS), stream
