"""A day at the command line, on a real Rollbook that asks who is there."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from application.caller import Role
from entrypoints.operator import Operator
from tests.cli.stand_in import rollbook as command_line
from tests.conftest import Database, Running, running_rollbook, settings_for

PLACE = ("--name", "api", "--provider", "gcp", "--account", "main", "--region", "eu")
NEW = ("create", *PLACE, "--type", "k8s", "--environment", "production", "--version")


class Terminal:
    """Somebody's shell, with their token and organisation in its environment."""

    def __init__(self, url: str, token: str) -> None:
        self.environment = {"API_URL": url, "ROLLBOOK_TOKEN": token, "ORG": "acme"}

    async def run(self, *arguments: str, expect: int = 0) -> Any:
        """What the command answers, as JSON."""
        ended = await asyncio.to_thread(command_line, *arguments, "--json", **self.environment)
        assert ended.code == expect, (arguments, ended.out, ended.err)
        return ended.json if ended.out else ended.failure


@pytest.fixture
async def guarded(database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    async with running_rollbook(settings_for(tmp_path, auth_enabled=True), database) as running:
        yield running


async def terminal(rollbook: Running, name: str, role: Role) -> Terminal:
    """A shell with a new token of this role."""
    made = await Operator(rollbook.app).issue_token("acme", name, role, None)
    return Terminal(rollbook.url, made["token"])


async def test_a_day_at_the_terminal(guarded: Running) -> None:
    dev, boss = await terminal(guarded, "dev", Role.DEPLOYER), await terminal(guarded, "boss", Role.ADMIN)
    first = await dev.run(*NEW, "1")
    await dev.run("update", first["id"], "--status", "deployed")
    second = await dev.run(*NEW, "2", "--manual")
    assert (await dev.run("approve", second["id"], "--reason", "mine", expect=3))["code"] == "FORBIDDEN"
    assert (await boss.run("approve", second["id"], "--reason", "seen"))["approved"] is True
    frozen = await boss.run("freeze", "--environment", "production", "--reason", "sale", "--hours", "1")
    assert (await dev.run("release", second["id"], expect=6))["answer"]["who"] == "boss"
    started = await dev.run("release", second["id"], "--override-freeze", "urgent")
    assert started["status"] == "in_progress"
    assert (await boss.run("thaw", frozen["id"], "--reason", "over"))["lifted_by"] == "boss"
    await dev.run("update", second["id"], "--status", "deployed", "--notes", "done")
    back = await dev.run("rollback", *PLACE)
    assert (back["version"], back["trigger"]) == ("1", "rollback")
    told = await dev.run("history", second["id"])
    assert [e["actor"] for e in told["entries"]] == ["dev", "boss", "dev", "dev", "dev"]
    assert [d["id"] for d in await dev.run("list", "--status", "scheduled", "--status", "in_progress")] == [back["id"]]
    assert (await dev.run("show", first["id"]))["status"] == "deployed"
    (lane,) = await dev.run("lanes", "--name", "api")
    assert (lane["live"]["version"], lane["held"]["version"]) == ("2", "2")


async def test_tokens_are_made_listed_and_revoked_at_the_terminal(guarded: Running) -> None:
    boss = await terminal(guarded, "boss", Role.ADMIN)
    made = await boss.run("token", "create", "--name", "ci", "--role", "viewer", "--days", "7")
    ci = Terminal(guarded.url, made["token"])
    assert await ci.run("list") == []
    await ci.run(*NEW, "1", expect=3)
    listed = await boss.run("token", "list")
    assert [one["name"] for one in listed] == ["ci", "boss"]
    assert made["token"] not in str(listed)
    await boss.run("token", "revoke", made["id"])
    assert (await ci.run("list", expect=3))["status"] == 401


async def test_a_watch_tells_each_deployment_once_until_it_changes(guarded: Running) -> None:
    dev = await terminal(guarded, "dev", Role.DEPLOYER)
    made = await dev.run(*NEW, "1")
    watched = await asyncio.to_thread(
        command_line, "watch", "--count", "2", "--interval", "0.2", "--json", **dev.environment
    )
    (line,) = watched.out.splitlines()
    assert (watched.code, made["id"] in line) == (0, True)
