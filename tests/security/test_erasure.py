"""A person who is forgotten is nowhere any more: not in the database, its snapshots, NATS, logs, nor in any answer."""

import asyncio
import json
from typing import Any

import psycopg
import pytest

from tests.faults.checks import admin_url
from tests.security.conftest import RELEASE, SHOP, Town
from tests.security.places import Place, files, found, messages, pages, rows

LOGIN = "Canary-Octocat-4711"
PERSON = {"the login": LOGIN, "the e-mail": f"{LOGIN}@example.com"}
# So many events in one lane that the next who loads it keeps a snapshot.
BUSY = 520


@pytest.mark.timeout(240)
async def test_a_forgotten_persons_login_is_nowhere(town: Town) -> None:
    await town.instance.start()
    boss = {"Authorization": f"Bearer {await town.operator('token', 'acme', '--name', 'boss')}"}
    canary, run = town.person("planted-personal-token-of-the-canary", LOGIN), town.run(LOGIN)
    await do_everything(town, boss, canary, run)
    assert found(PERSON, town.answers), "the login was shown while the person was known"
    await start_again(town)
    await town.ask(canary, "POST", "/v1/deployments", RELEASE)
    assert found(PERSON, await lying_about(town)) == [], "even before: what is personal is never in clear"
    people = await erased(town)
    await start_again(town)
    await nobody_knows(town, boss, people)
    places = [*await lying_about(town), *town.answers, *[place async for place in pages(town.instance)]]
    await town.instance.terminate()
    assert found(PERSON, [*places, *files(town.folder), *traces(town)]) == []


async def do_everything(town: Town, boss: dict[str, str], canary: dict[str, str], run: dict[str, str]) -> None:
    """Leaves the person's traces wherever a person can leave them."""
    named = {"login": LOGIN, "email": PERSON["the e-mail"], "sub": f"repo:acme:{LOGIN}"}
    roles = [{"role": "admin", "claims": {name: value}} for name, value in named.items()]
    production = {"scope": {"environment": "production"}, "claims": {"login": LOGIN}}
    await town.ask(boss, "PUT", "/v1/rules", {"roles": roles, "approval": [production]})
    await town.ask(canary, "GET", "/v1/rules")
    await asyncio.gather(*(crowd(town, canary) for _ in range(8)))
    first = await town.ask(run, "POST", "/v1/deployments", {**RELEASE, "auto": False, "name": "other"})
    waiting = await town.ask(boss, "POST", "/v1/deployments", {**RELEASE, "auto": False, "name": "other"})
    await town.ask(canary, "POST", f"/v1/deployments/{waiting['id']}/approve", {"reason": "fine"})
    await town.ask(run, "POST", f"/v1/deployments/{first['id']}/approve", {"reason": "mine"}, status=403)
    claim = {"lanes": [{**SHOP, "name": "other"}], "runner": "runner"}
    claimed = await town.ask(canary, "POST", "/v1/deployments/claim", claim)
    await town.ask(canary, "PATCH", f"/v1/deployments/{claimed['id']}", {"status": "deployed", "lease": 1})
    await town.ask(canary, "POST", f"/v1/deployments/{first['id']}/rollback")
    freeze = await town.ask(canary, "POST", "/v1/freezes", {"scope": {"name": "other"}, "reason": "holidays"})
    await town.ask(run, "PATCH", f"/v1/deployments/{first['id']}", {"status": "in_progress"}, status=423)
    await town.ask(canary, "POST", f"/v1/freezes/{freeze['id']}/lift", {"reason": "over"})
    await town.ask(canary, "POST", "/v1/tokens", {"name": "robot"})
    await town.ask({**canary, "X-Organisation": "globex"}, "GET", "/v1/lanes", status=403)
    await town.ask(canary, "GET", f"/v1/deployments/{claimed['id']}/history")


async def crowd(town: Town, who: dict[str, str]) -> None:
    """Part of what makes a lane busy."""
    for number in range(BUSY // 8):
        await town.ask(who, "POST", "/v1/deployments", {**RELEASE, "version": str(number)})


async def start_again(town: Town) -> None:
    """A new process remembers nobody."""
    assert await town.instance.terminate() == 0
    town.answers.clear()
    await town.instance.start()


async def erased(town: Town) -> list[str]:
    """The pseudonyms of the person, who is forgotten under each of their names."""
    told = await town.operator("erase", "ACME", LOGIN, PERSON["the e-mail"], f"repo:acme:{LOGIN}", "--json")
    pseudonyms: list[str] = json.loads(told)["erased"]
    return pseudonyms


async def nobody_knows(town: Town, boss: dict[str, str], people: list[str]) -> None:
    """Answers tell of somebody who was erased; what the rules gave them, they give nobody."""
    listed = await town.ask(boss, "GET", "/v1/deployments?limit=1000")
    assert {one["created_by_actor"] for one in listed} == {"erased", "boss"}
    [freeze] = await town.ask(boss, "GET", "/v1/freezes")
    assert (freeze["by"], freeze["lifted_by"]) == ("erased", "erased")
    house = await town.ask(boss, "GET", "/v1/rules")
    assert {value for rule in house["roles"] for value in rule["claims"].values()} == {"erased"}
    await town.ask(town.person("another-token", "erased"), "GET", "/v1/tokens", status=403)
    history = await town.ask(boss, "GET", f"/v1/deployments/{listed[0]['id']}/history")
    assert {entry["actor"] for entry in history["entries"]} == {"erased"}
    async with await psycopg.AsyncConnection.connect(admin_url(town.folder)) as admin:
        query = b"select payload from rollbook.events where topic = 'organisation.person_erased'"
        told = [json.loads(payload)["person"] for (payload,) in await (await admin.execute(query)).fetchall()]
        assert sorted(told) == people, "erasing is itself an event"
        assert await one(admin, b"select count(*) from rollbook.snapshots") > 0, "there is a snapshot to look into"
        assert await one(admin, b"select count(*) from rollbook.people") == 2, "the boss and the machine's user"


async def one(admin: Any, query: bytes) -> int:
    """The only value of a query."""
    return int((await (await admin.execute(query)).fetchone())[0])


async def lying_about(town: Town) -> list[Place]:
    """What the database and the feed hold."""
    return [*await rows(town.folder), *await messages(town.folder)]


def traces(town: Town) -> list[Place]:
    """What was exported."""
    assert town.collector.spans, "nothing was traced"
    return [(f"the span {span.name}", span.SerializeToString()) for span in town.collector.spans]
