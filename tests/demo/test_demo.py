"""The demonstration is a past like any other: sealed, readable, told by real commands, and never mixed with another."""

import asyncio
import hashlib
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import orjson
import psycopg
import pytest
from pydantic import SecretStr

from adapters.postgres.ledger import Ledger
from adapters.settings import Settings
from application.ports.event_store import Actor, Circumstances, Commit, Conflict
from domain.errors import Clash, Invalid
from entrypoints.cli.demo import described
from entrypoints.demo.cast import cast
from entrypoints.demo.loading import Wish, play, show
from entrypoints.demo.month import Month
from entrypoints.verify.rollbook_verify import main as verify
from tests.conftest import Database, running_rollbook, settings_for

UNTIL = datetime(2026, 3, 13, 15, 0, tzinfo=UTC)
SMALL = Wish("acme", seed=3, days=6, components=6, environments=3, until=UNTIL)


def silent(name: str) -> Any:
    return lambda done, total: None


async def played(wish: Wish) -> Month:
    """A month without a store."""
    chance = Random(wish.seed)
    players = cast(wish.organisation, wish.components, wish.environments, chance)
    people = {login: Actor(UUID(int=number + 1), "c2VhbGVk") for number, login in enumerate(players.people)}
    return await play(wish, players, people, chance)


def intact(database: Database) -> bool:
    """What the verifier says of the log."""
    with pytest.raises(SystemExit) as ended:
        verify([database.owner_url])
    return ended.value.code == 0


def settings_of(database: Database, folder: Path) -> Settings:
    urls = {"database_url": SecretStr(database.app_url), "database_owner_url": SecretStr(database.owner_url)}
    return settings_for(folder, **urls)


async def test_it_is_loaded_and_shown_as_of_its_own_moments(database: Database, tmp_path: Path) -> None:
    month = await show(settings_of(database, tmp_path), SMALL, silent)
    trouble = month.trouble
    async with running_rollbook(settings_for(tmp_path), database) as running:

        async def ask(path: str, **params: str) -> Any:
            answer = await running.client.get(path, params=params, headers={"X-Organisation": "acme"})
            assert answer.status_code == 200, answer.text
            return answer.json()

        culprit = await ask(f"/v1/deployments/{trouble.culprit.id}")
        assert (culprit["version"], culprit["created_by_actor"]) == ("2.0.0", trouble.culprit.author)
        then = await ask(f"/v1/deployments/{trouble.culprit.id}", as_of=trouble.began.isoformat())
        assert (then["status"], culprit["status"]) == ("deployed", "deployed")
        lanes = await ask("/v1/lanes", limit="1000")
        assert len(lanes) > len(trouble.story.cast.components) * 3 - 1
        incidents = await ask("/v1/incidents")
        assert "INC-2107" in orjson.dumps(incidents).decode()


def test_it_is_sealed_as_append_seals(database: Database, tmp_path: Path) -> None:
    asyncio.run(show(settings_of(database, tmp_path), SMALL, silent))
    assert intact(database)
    with psycopg.connect(database.admin_url) as admin:
        rows = admin.execute(
            "select position, commit_position, sequence, envelope, payload, previous_hash, hash, "
            "recorded_at from rollbook.events order by position"
        ).fetchall()
    before, moment = bytes(32), datetime.min.replace(tzinfo=UTC)
    for place, (position, commit, sequence, envelope, payload, previous, after, recorded) in enumerate(rows, 1):
        assert (position, sequence, previous) == (place, place, before) and commit >= position and recorded >= moment
        before = hashlib.sha256(before + hashlib.sha256(envelope).digest() + hashlib.sha256(payload).digest()).digest()
        assert before == after
        moment = recorded
    assert rows[0][-1] >= UNTIL - timedelta(days=SMALL.days) and moment <= UNTIL


async def test_what_is_recorded_after_it_follows_it(database: Database, tmp_path: Path) -> None:
    month = await show(settings_of(database, tmp_path), SMALL, silent)
    async with running_rollbook(settings_for(tmp_path), database) as running:
        body = {"name": "checkout-api", "version": "3", "provider": "gcp", "environment": "production", "type": "k8s"}
        answer = await running.client.post("/v1/deployments", json=body, headers={"X-Organisation": "acme"})
        assert answer.status_code == 201
        assert await running.app.log.head() > len(month.stage.ledger.rows)
    assert await asyncio.to_thread(intact, database)


async def test_it_goes_into_an_empty_store_only(database: Database, tmp_path: Path) -> None:
    await show(settings_of(database, tmp_path), SMALL, silent)
    with pytest.raises(Clash, match="only put into an empty one"):
        await show(settings_of(database, tmp_path), SMALL, silent)


async def test_it_is_not_put_under_the_feet_of_who_runs(database: Database, tmp_path: Path) -> None:
    async with running_rollbook(settings_for(tmp_path), database):
        with pytest.raises(Clash, match="stop it first"):
            await show(settings_of(database, tmp_path), SMALL, silent)


async def test_names_that_are_no_organisations_are_refused(database: Database, tmp_path: Path) -> None:
    with pytest.raises(Invalid):
        await show(settings_of(database, tmp_path), replace(SMALL, organisation="a\nb"), silent)


async def test_nobodys_name_is_in_clear(database: Database, tmp_path: Path) -> None:
    month = await show(settings_of(database, tmp_path), SMALL, silent)
    said = b"".join(row[10] + row[11] for row in month.stage.ledger.rows)
    assert all(login.encode() not in said for login in month.trouble.story.cast.people)


async def test_the_same_seed_tells_the_same_and_another_tells_something_else() -> None:
    one, again, other = [await played(wish) for wish in (SMALL, SMALL, replace(SMALL, seed=4))]
    assert one.stage.ledger.rows == again.stage.ledger.rows
    assert one.stage.ledger.rows[-1][-1] != other.stage.ledger.rows[-1][-1]


async def test_everything_that_a_month_needs_happens_in_it() -> None:
    month = await played(replace(SMALL, days=12, components=40, environments=5))
    topics = Counter(row[5] for row in month.stage.ledger.rows)
    assert topics.keys() >= {
        *("teams.set", "rules.set", "freezes.declared", "freezes.lifted", "lane.held", "lane.released"),
        *("deployment.scheduled", "deployment.started", "deployment.claimed", "deployment.deployed"),
        *("deployment.failed", "deployment.skipped", "deployment.approved", "deployment.corrected"),
        *("incident.reported", "incident.linked", "incident.resolved"),
    }
    actors = {orjson.loads(row[10])["actor"]["id"] for row in month.stage.ledger.rows}
    overrides = [orjson.loads(row[11]).get("override") for row in month.stage.ledger.rows]
    assert len(actors) > 15 and len({one for one in overrides if one}) > 2


async def test_the_last_day_holds_the_trouble_and_where_to_begin_is_told() -> None:
    month = await played(SMALL)
    trouble, facts = month.trouble, described(month)
    (cause,) = [
        row for row in month.stage.ledger.rows if row[5] == "deployment.deployed" and trouble.culprit.id in row[3]
    ]
    assert trouble.began - timedelta(hours=1) < cause[9] < trouble.began < UNTIL
    assert facts["caused_by"] == trouble.culprit.id and facts["incident_at"] == "2026-03-13T13:00:00Z"
    assert len(facts["begin_with"]) == 3
    assert all(re.match(r"rollbook (diff|fleet|why) ", command) for command in facts["begin_with"])


async def test_the_ledger_refuses_what_append_would_refuse() -> None:
    month = await played(replace(SMALL, days=2))
    ledger: Ledger = month.stage.ledger
    assert await ledger.moved("acme", {"lane-unknown": 1}) and not await ledger.moved("acme", {"lane-unknown": 0})
    stream, events = next((name, found) for name, found in ledger.streams.items() if len(found) > 1)
    around = Circumstances(Actor(UUID(int=1), "c2VhbGVk"), {}, UNTIL, "0")
    with pytest.raises(Conflict):
        await ledger.append(Commit("acme", around, {stream: events[:1]}))
