"""Whoever is erased is nowhere any more, and the chain of what they did verifies as before."""

from json import dumps
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import psycopg
import pytest

from adapters.checkpoint_choosing import sealer_of
from entrypoints.operator import Operator
from tests.audit.conftest import Log
from tests.backup.conftest import home as home
from tests.backup.ground import OVER, Place
from tests.conftest import Database, Running, running_rollbook
from tests.queue.conftest import LANE

LOGIN = "Canary-Octocat-4711"
BODY = {**LANE, "version": "1", "environment": "production", "type": "k8s"}
ACME = {"X-Organisation": "acme"}


async def did_something(rollbook: Running, organisation: str = "acme") -> None:
    """The person did what is on record under their pseudonym, and what rules say of them."""
    headers = {"X-Organisation": organisation}
    await rollbook.app.people.actor(organisation, LOGIN)
    rules = {"roles": [{"role": "admin", "claims": {"login": LOGIN}}]}
    assert (await rollbook.client.put("/v1/rules", json=rules, headers=headers)).status_code == 200
    assert (await rollbook.client.post("/v1/deployments", json=BODY, headers=headers)).status_code == 201


async def sealed(rollbook: Running, folder: Path, admin_url: str) -> Log:
    """All that is on record, sealed."""
    sealer = sealer_of(rollbook.app.settings, rollbook.app.pools)
    while await sealer.seal():
        pass
    file = folder / "none.ndjson"
    file.touch()
    return Log(admin_url, file, sealer.public_key)


def lying_about(database: Database) -> str:
    """Every row of every table, as text; bytes as what they say."""
    tables = "select c.oid::regclass::text from pg_class c where relnamespace::regnamespace::text like 'rollbook%'"
    found = []
    with psycopg.connect(database.admin_url) as admin:
        for (table,) in admin.execute(f"{tables} and relkind = 'r'".encode()).fetchall():
            for row in admin.execute(f"select * from {table}".encode()).fetchall():
                found.append(" ".join(plain(value) for value in row))
    return "\n".join(found)


def plain(value: Any) -> str:
    """A value as somebody who looks for a name would read it."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


async def answers(rollbook: Running) -> str:
    """All that the audit and the lists answer."""
    asked = await rollbook.client.post("/v1/audit/exports", json={}, headers=ACME)
    paths = ["/v1/audit/events?limit=1000", "/v1/deployments", "/v1/rules", "/v1/audit/exports"]
    paths.append(f"/v1/audit/exports/{asked.json()['id']}/events")
    return "\n".join([(await rollbook.client.get(path, headers=ACME)).text for path in paths])


async def test_an_organisation_that_is_erased_names_nobody_and_its_chain_verifies(
    rollbook: Running, database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await did_something(rollbook)
    await did_something(rollbook, "other")
    assert LOGIN in (await rollbook.client.get("/v1/rules", headers=ACME)).text
    assert LOGIN not in lying_about(database), "even before: what is personal is never in clear"
    done = await Operator(rollbook.app).erase_organisation("ACME", "They left")
    assert done["organisation"] == "acme"
    assert done["people"] >= 2
    told = await answers(rollbook)
    assert LOGIN not in told
    assert "erased" in told
    assert "organisation.erased" in told
    assert LOGIN not in lying_about(database)
    assert LOGIN in (await rollbook.client.get("/v1/rules", headers={"X-Organisation": "other"})).text
    code, said = (await sealed(rollbook, tmp_path, database.admin_url)).verify()
    assert (code, "Intact" in said) == (0, True), said
    output = capsys.readouterr()
    assert LOGIN not in output.out + output.err, "logs name nobody either"


async def test_the_key_of_an_erased_organisation_is_gone_and_a_repeat_changes_nothing(
    rollbook: Running, database: Database
) -> None:
    await did_something(rollbook)
    operator = Operator(rollbook.app)
    await operator.erase_organisation("acme", "They left")
    people, events = "select count(*) from rollbook.people", "select count(*) from rollbook.events"
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        key = "select wrapped_key from rollbook.organisations where organisation = 'acme'"
        assert admin.execute(key.encode()).fetchall() == [(None,)]
        assert admin.execute(people.encode()).fetchone() == (0,)
        before = admin.execute(events.encode()).fetchone()
        await operator.erase_organisation("acme", "They left")
        assert admin.execute(events.encode()).fetchone() == before


async def test_whoever_comes_afterwards_is_somebody_new(rollbook: Running) -> None:
    before = await rollbook.app.people.actor("acme", LOGIN)
    await Operator(rollbook.app).erase_organisation("acme", "They left")
    after = await rollbook.app.people.actor("acme", LOGIN)
    assert before.id != after.id
    names = await rollbook.app.people.logins_of("acme", [str(before.id), str(after.id)])
    assert names == {str(before.id): "erased", str(after.id): LOGIN}


async def test_a_process_that_still_knew_the_key_does_no_harm(rollbook: Running, database: Database) -> None:
    await rollbook.app.people.actor("acme", "ann")
    async with running_rollbook(rollbook.app.settings, database) as other:
        await other.app.people.actor("acme", "ann")
        await Operator(rollbook.app).erase_organisation("acme", "They left")
        late = await other.app.people.actor("acme", LOGIN)
        names = await rollbook.app.people.logins_of("acme", [str(late.id)])
    assert names == {str(late.id): "erased"}


async def test_a_restore_erases_again_and_goes_on_behind_the_last_checkpoint_of_the_backup(
    rollbook: Running, home: Place, tmp_path: Path
) -> None:
    await did_something(rollbook)
    log = await sealed(rollbook, tmp_path, home.database.admin_url)
    taken = await home.take(tmp_path / "b.zip", with_key=True)
    await Operator(rollbook.app).erase_organisation("acme", "They left")
    await sealed(rollbook, tmp_path, home.database.admin_url)
    query = """select json_build_object('checkpoint', text, 'signature', signature, 'key', public_key,
                                      'heads', '{}'::text[])
                 from rollbook.sealed_checkpoints order by number"""
    kept = [row[0] for row in home.rows(query)]
    await home.restore(taken.path, OVER)
    assert home.rows("select * from rollbook.people") == []
    assert home.rows("select wrapped_key from rollbook.organisations where organisation = 'acme'") == [(None,)]
    assert len(home.rows("select * from rollbook.sealed_checkpoints")) < len(kept)
    async with running_rollbook(home.settings(), home.database) as again:
        assert LOGIN not in await answers(again)
        await sealed(again, tmp_path, home.database.admin_url)
    log.checkpoints.write_text("".join(f"{one}\n" for one in map(dumps, kept)))
    code, said = log.verify()
    assert (code, "of a lost epoch" in said) == (0, True), said


async def test_a_backup_holds_no_login(rollbook: Running, home: Place, tmp_path: Path) -> None:
    await did_something(rollbook)
    taken = await home.take(tmp_path / "b.zip")
    with ZipFile(taken.path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert [name for name, part in parts.items() if LOGIN.encode() in part] == []
