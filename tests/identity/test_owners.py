"""An organisation's name belongs to whoever came first, until an administrator gives it away."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from application.caller import Role
from tests.conftest import Database
from tests.identity.providers import Providers, SigningKey
from tests.identity.world import LAB, World, guarded, world

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def rebind(rollbook: World, headers: dict[str, str], owner: str) -> int:
    body = {"owner": owner, "reason": "bought by another company"}
    answer = await rollbook.rollbook.client.post("/v1/organisation/owner", json=body, headers=headers)
    return answer.status_code


async def topics(rollbook: World) -> list[str]:
    events = await rollbook.rollbook.app.log.read_after(0, 1000)
    return [e.topic for e in events if e.topic.startswith("organisation.")]


async def test_the_first_owner_keeps_the_name_against_another_of_the_same_name(rollbook: World) -> None:
    assert await rollbook.comes(rollbook.action()) == 200
    assert await rollbook.comes(rollbook.action("ACME", actor="other")) == 200
    refused = await rollbook.rollbook.client.get("/v1/lanes", headers=rollbook.action(repository_owner_id="43"))
    assert refused.status_code == 403
    assert "belongs to another owner id" in refused.json()["detail"]
    assert "42" not in refused.text
    assert await topics(rollbook) == ["organisation.opened", "organisation.owner_bound"]


async def test_a_person_and_a_run_are_held_to_the_same_owner(rollbook: World) -> None:
    assert await rollbook.comes(rollbook.person()) == 200
    assert await rollbook.comes(rollbook.action()) == 200
    assert await rollbook.comes(rollbook.person(owner_id=43, login="thief")) == 403


async def test_a_refused_stranger_leaves_nothing_behind(rollbook: World, database: Database) -> None:
    await rollbook.comes(rollbook.action())
    head = await rollbook.rollbook.app.log.head()
    await rollbook.comes(rollbook.action(repository_owner_id="43", actor="thief"))
    assert await rollbook.rollbook.app.log.head() == head
    async with rollbook.rollbook.app.pools.writing("acme") as connection:
        people = await (await connection.execute("select count(*) from rollbook.people")).fetchone()
    assert people == (1,)


async def test_two_who_come_at_once_do_not_both_get_the_name(rollbook: World) -> None:
    both = [rollbook.action(), rollbook.action(repository_owner_id="43")]
    assert sorted(await asyncio.gather(*map(rollbook.comes, both))) == [200, 403]
    assert (await topics(rollbook)).count("organisation.owner_bound") == 1


async def test_an_administrators_own_token_gives_the_name_to_another_owner(rollbook: World) -> None:
    old, new = rollbook.action(), rollbook.action(repository_owner_id="43")
    await rollbook.comes(old)
    admin = await rollbook.own(Role.ADMIN)
    assert await rebind(rollbook, admin, "43") == 200
    assert (await rollbook.comes(old), await rollbook.comes(new)) == (403, 200)
    shown = await rollbook.rollbook.client.get("/v1/organisation", headers=new)
    assert shown.json() == {"organisation": "acme", "owner": "43"}
    assert (await topics(rollbook))[-1] == "organisation.owner_rebound"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.DEPLOYER, Role.APPROVER])
async def test_nobody_else_gives_a_name_away(rollbook: World, role: Role) -> None:
    assert await rebind(rollbook, await rollbook.own(role), "43") == 403
    assert await rebind(rollbook, rollbook.action(), "43") == 403


async def test_an_administrator_of_one_organisation_does_not_rebind_another(rollbook: World) -> None:
    await rollbook.comes(rollbook.action("globex"))
    assert await rebind(rollbook, await rollbook.own(Role.ADMIN) | {"X-Organisation": "globex"}, "43") == 200
    assert await rollbook.comes(rollbook.action("globex")) == 200


async def test_another_process_hears_of_a_new_owner_when_its_memory_ends(
    rollbook: World, database: Database, tmp_path: Path
) -> None:
    old, new = rollbook.action(), rollbook.action(repository_owner_id="43")
    settings = guarded(tmp_path, rollbook.providers)
    async with world(database, settings, rollbook.providers, rollbook.key) as other:
        assert await other.comes(old) == 200
        await rebind(rollbook, await rollbook.own(Role.ADMIN), "43")
        assert await other.comes(new) == 200
        clock = other.rollbook.app.owners.clock
        other.rollbook.app.owners.clock = lambda: clock() + 2.0
        assert await other.comes(old) == 403


async def test_an_issuer_without_owner_ids_does_not_enter_under_a_name_of_github(rollbook: World) -> None:
    await rollbook.comes(rollbook.action())
    assert await rollbook.comes(rollbook.lab()) == 403


async def test_an_issuer_that_came_first_keeps_the_name_against_github(rollbook: World) -> None:
    assert await rollbook.comes(rollbook.lab()) == 200
    assert await rollbook.comes(rollbook.action()) == 403
    assert await rollbook.comes(rollbook.person()) == 403
    shown = await rollbook.rollbook.client.get("/v1/organisation", headers=rollbook.lab())
    assert shown.json()["owner"] == LAB


async def test_an_issuer_that_the_operator_named_enters_beside_the_owner(
    database: Database, tmp_path: Path, providers: Providers, signing_key: SigningKey
) -> None:
    settings = guarded(tmp_path, providers, organisations=frozenset({"ACME"}))
    async with world(database, settings, providers, signing_key) as rollbook:
        assert await rollbook.comes(rollbook.action()) == 200
        assert await rollbook.comes(rollbook.lab("Acme")) == 200
        assert await rollbook.comes(rollbook.lab("globex")) == 403
        assert await rollbook.comes(rollbook.action()) == 200


async def test_a_token_of_github_that_names_no_owner_id_proves_nothing_and_binds_nothing(rollbook: World) -> None:
    assert await rollbook.comes(rollbook.action(repository_owner_id=None)) == 200
    assert await topics(rollbook) == []


async def test_an_operator_lets_the_first_administrator_in_and_rebinds_a_name(
    rollbook: World, database: Database, tmp_path: Path
) -> None:
    await rollbook.comes(rollbook.action())
    environment = {"DATABASE_URL": database.app_url, "DATA_DIR": str(tmp_path / "data")}
    made = await run(environment, "operator", "token", "ACME", "--name", "first")
    assert await rollbook.comes({"Authorization": f"Bearer {made[1].strip()}"}, "/v1/tokens") == 200
    assert (await run(environment, "operator", "rebind", "acme", "43", "--reason", "moved"))[0] == 0
    assert await rollbook.comes(rollbook.action(repository_owner_id="43")) == 200


async def test_an_operator_without_a_database_is_told_so(tmp_path: Path) -> None:
    code, _, said = await run({"DATA_DIR": str(tmp_path)}, "operator", "rebind", "acme", "43", "--reason", "moved")
    assert code == 5
    assert "No Rollbook runs on" in said


async def test_an_operator_without_the_master_key_seals_nothing(
    rollbook: World, database: Database, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    environment = {"DATABASE_URL": database.app_url, "DATA_DIR": str(elsewhere)}
    code, _, said = await run(environment, "operator", "token", "newcomer", "--name", "first")
    assert code == 5
    assert "set MASTER_KEY" in said
    assert not (elsewhere / "secrets").exists()


async def test_an_operator_of_a_database_without_the_schema_is_told_so(postgres: Any, tmp_path: Path) -> None:
    environment = {"DATABASE_URL": postgres.url("rollbook_app", "postgres"), "DATA_DIR": str(tmp_path)}
    code, _, said = await run(environment, "operator", "rebind", "acme", "43", "--reason", "moved")
    assert code == 5
    assert "lacks the schema" in said


async def run(environment: dict[str, str], *arguments: str) -> tuple[Any, str, str]:
    """The command line: its exit code, what it answered and what it said beside that."""
    program = "from entrypoints.cli.main import main; main()"
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": environment["DATA_DIR"], **environment},
        cwd=Path(__file__).parent.parent.parent,
    )
    answered, said = await asyncio.wait_for(child.communicate(), 60)
    return child.returncode, answered.decode(), said.decode()
