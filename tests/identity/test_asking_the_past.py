"""Whoever may read anything, or take the record out, may ask what a reference to the past means."""

import asyncio
from pathlib import Path

import pytest

from application.caller import Role
from tests.cli.stand_in import rollbook as command_line
from tests.identity.test_roles import issued
from tests.identity.world import World, bearer

pytestmark = pytest.mark.asyncio(loop_scope="session")
TELLING = {"audit.export": "viewer", "audit.read": "viewer", "deployment.read": "viewer", "token.read": "admin"}
SILENT = {"deployment.claim": "admin", "token.read": "viewer"}


async def scoped(rollbook: World, action: str, role: str) -> str:
    """A token for one action alone."""
    return await issued(rollbook, await rollbook.own(Role.ADMIN), 201, role=role, scope=[action])


async def test_what_a_reference_means_is_told_to_whoever_may_read_as_of_one(rollbook: World) -> None:
    for action, role in TELLING.items():
        assert await rollbook.comes(bearer(await scoped(rollbook, action, role)), "/v1/at?ref=0") == 200, action
    for action, role in SILENT.items():
        assert await rollbook.comes(bearer(await scoped(rollbook, action, role)), "/v1/at?ref=0") == 403, action


async def test_whoever_may_export_replays_from_a_reference_and_needs_no_other_right(
    rollbook: World, tmp_path: Path
) -> None:
    token, rules = await scoped(rollbook, "audit.export", "viewer"), tmp_path / "rules.yaml"
    rules.write_text("auto_skip: {by: never}\n")
    asked = ("replay", "--from", "-0s", "--rules", str(rules), "--json")
    where = {"API_URL": rollbook.rollbook.url, "ROLLBOOK_TOKEN": token}
    ended = await asyncio.to_thread(command_line, *asked, **where)
    assert (ended.code, ended.json["differences"]) == (0, []), ended.err
