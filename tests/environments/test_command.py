"""`rollbook env` against a real server."""

import asyncio
import json
from typing import Any

import pytest

from tests.cli.stand_in import Ended, rollbook
from tests.environments.conftest import PASSWORD, Environments

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def env(environments: Environments, *arguments: str) -> Ended:
    """What the command says."""
    place = {"API_URL": environments.rollbook.url, "ORG": environments.organisation}
    ended = await asyncio.to_thread(rollbook, "env", *arguments, **place)
    assert PASSWORD not in ended.out + ended.err
    return ended


async def as_json(environments: Environments, *arguments: str) -> Any:
    """What the command says to programs."""
    return json.loads((await env(environments, *arguments, "--json")).out)


async def test_an_environment_lives_from_add_to_remove(environments: Environments, owner: str, reader: str) -> None:
    references = environments.keep("dsn", owner), environments.keep("reader", reader)
    added = await env(environments, "add", "staging", "--kind", "postgresql", "--dsn", references[0])
    assert (added.code, "file:dsn" in added.out) == (0, True)
    changed = await as_json(environments, "change", "staging", "--dsn", "file:dsn", "--reader-dsn", references[1])
    assert changed["environment"]["reader_dsn"] == "file:reader"
    listed = await env(environments, "list")
    assert listed.out.splitlines()[1].split()[:5] == ["staging", "postgresql", "file:dsn", "file:reader", "api"]
    tried = await env(environments, "test", "staging")
    assert tried.code == 0
    assert "PostgreSQL 18" in tried.out and "can write" in tried.out and "can only read" in tried.out
    removed = await env(environments, "remove", "staging")
    assert (removed.code, removed.err.strip()) == (0, "staging is removed")
    gone = await env(environments, "show", "staging")
    assert (gone.code, "Environment 'staging' not found" in gone.err) == (4, True)


async def test_a_test_that_fails_ends_with_code_1(environments: Environments, owner: str) -> None:
    wrong = environments.keep("dsn", owner.replace(PASSWORD, "wrong"))
    await env(environments, "add", "staging", "--kind", "postgresql", "--dsn", wrong)
    tried = await env(environments, "test", "staging")
    assert (tried.code, "refuses the password" in tried.err) == (1, True)
    assert (await as_json(environments, "test", "staging"))["ok"] is False


async def test_a_warning_is_told_beside_the_answer(environments: Environments, shop: str) -> None:
    await env(environments, "add", "staging", "--kind", "postgresql", "--dsn", environments.keep("dsn", shop))
    tried = await env(environments, "test", "staging")
    assert (tried.code, tried.err.startswith("warning: dsn may do everything")) == (0, True)


async def test_what_is_refused_ends_with_a_code(environments: Environments) -> None:
    dsn = await env(environments, "add", "a", "--kind", "mysql", "--dsn", f"mysql://ann:{PASSWORD}@host/shop")
    assert (dsn.code, "never a DSN itself" in dsn.err) == (1, True)
    kind = await env(environments, "add", "a", "--kind", "oracle", "--dsn", "file:a")
    assert kind.code == 2
    await env(environments, "add", "a", "--kind", "mysql", "--dsn", "file:a")
    assert (await env(environments, "add", "a", "--kind", "mysql", "--dsn", "file:a")).code == 1


async def test_the_past_is_listed(environments: Environments) -> None:
    await environments.add()
    then = str(await environments.rollbook.app.log.head())
    await environments.ask("DELETE", "/staging")
    listed = await as_json(environments, "list", "--as-of", then)
    assert [one["name"] for one in listed["environments"]] == ["staging"]
    assert (await as_json(environments, "show", "staging", "--as-of", then))["environment"]["dsn"] == "file:staging"


async def test_what_the_operator_configured_is_listed(configured: Environments) -> None:
    listed = await env(configured, "list")
    assert [line.split()[0] for line in listed.out.splitlines()[1:]] == ["production", "staging"]
    assert (await env(configured, "remove", "staging")).code == 1
