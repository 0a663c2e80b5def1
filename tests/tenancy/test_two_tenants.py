"""Two tenants at every endpoint, with each other's ids and names: neither sees or changes anything of the other."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.caller import Role
from domain.recorded import RecordedEvent
from entrypoints.http.routing import Route
from entrypoints.operator import Operator
from tests.conftest import Database, Running, running_rollbook, settings_for
from tests.tenancy.requests import PARAMETER, REQUESTS, Hand, Tenant

LIMIT = 60
NAMES = ("acme", "globex")
SEEN = [name for name in REQUESTS if name.startswith("GET") and "{" not in name]
STEPS = st.lists(st.tuples(st.sampled_from(sorted(REQUESTS)), st.integers(0, 2**32)), min_size=1, max_size=8)


@pytest.fixture
async def guarded(database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    for name in NAMES:
        (own := tmp_path / "secrets" / name).mkdir(parents=True)
        (own / "secret").write_text(f"host=127.0.0.1 port=1 dbname=secret-of-{name}")
    settings = settings_for(tmp_path, auth_enabled=True, environment_secrets_dir=tmp_path / "secrets")
    async with running_rollbook(settings, database) as running:
        yield running


class Neighbours:
    """Both tenants of one Rollbook, asked from a thread while the test's loop serves."""

    def __init__(self, rollbook: Running, tenants: list[Tenant]) -> None:
        self.rollbook = rollbook
        self.tenants = tenants
        self.loop = asyncio.get_running_loop()
        self.client = httpx2.Client(base_url=rollbook.url, timeout=LIMIT)

    def ask(self, name: str, mine: Tenant, other: Tenant, chance: Random) -> httpx2.Response:
        """Sends a request as `mine`, and holds the answer and the log to what is mine."""
        method, template = name.split()
        hand = Hand(mine, other, chance)
        key = {"Idempotency-Key": f"{name} {chance.randint(1, 3)}"} if method != "GET" and chance.random() < 0.3 else {}
        pretends = {"X-Organisation": other.name}
        head = self.wait_for(self.rollbook.app.log.head())
        who = mine.colleague if template.endswith("/approve") else mine.headers
        answer = self.client.request(method, hand.path(template), headers=who | key | pretends, **REQUESTS[name](hand))
        self.check(answer, mine, other)
        recorded: list[RecordedEvent] = self.wait_for(self.rollbook.app.log.read_after(head, 1000))
        assert {event.organisation for event in recorded} <= {mine.name}, name
        if answer.status_code < 300:
            self.note(method, template, mine, answer)
        return answer

    def check(self, answer: httpx2.Response, mine: Tenant, other: Tenant) -> None:
        """Nothing of the other's is in the answer."""
        assert answer.status_code < 500, answer.text
        told = answer.text + str(answer.headers)
        assert other.mark not in told
        assert f'"{other.name}"' not in told
        sent = str(answer.request.url)
        for ids in other.ids.values():
            assert not [one for one in ids if one in told and one not in sent]

    def note(self, method: str, template: str, mine: Tenant, answer: httpx2.Response) -> None:
        """Remembers the id of what was made."""
        kinds = {"/v1/deployments": "deployment", "/v1/freezes": "freeze", "/v1/tokens": "token"}
        if method == "POST" and answer.status_code == 201 and (kind := kinds.get(template)):
            mine.ids[kind].append(answer.json()["id"])
        if (method, template) == ("POST", "/api/environments"):
            mine.ids["environment"].append(answer.json()["environment"]["name"])

    def begin_work(self, mine: Tenant) -> None:
        """Something is live, something was before it, something runs, and something waits for an approval."""
        lane = {"name": "shop", "provider": "aws", "version": "1", "environment": "production", "type": "k8s"}
        for status in ("deployed", "deployed", None, "claimed"):
            made = self.client.post("/v1/deployments", headers=mine.headers, json=lane | {"auto": bool(status)}).json()
            mine.ids["deployment"].append(made["id"])
            if status == "deployed":
                self.client.patch(f"/v1/deployments/{made['id']}", headers=mine.headers, json={"status": status})
        body = {"lanes": [lane], "runner": mine.mark}
        assert self.client.post("/v1/deployments/claim", headers=mine.headers, json=body).status_code == 200

    def wait_for(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What the test's loop answers."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(LIMIT)

    def view(self, tenant: Tenant) -> list[Any]:
        """All that the tenant sees of itself."""
        paths = [name.split()[1] for name in SEEN]
        paths += [f"/v1/deployments/{one}{tail}" for one in tenant.ids["deployment"][:2] for tail in ("", "/history")]
        answers = [self.client.get(path, headers=tenant.headers) for path in paths]
        assert {answer.status_code for answer in answers} == {200}
        return [answer.json() for answer in answers]


@pytest.fixture
async def neighbours(guarded: Running) -> AsyncIterator[Neighbours]:
    """Two tenants, each with something behind every route."""
    tenants = []
    for name in NAMES:
        both = [await Operator(guarded.app).issue_token(name, who, Role.ADMIN, None) for who in ("ann", "bob")]
        ann, bob = ({"Authorization": f"Bearer {made['token']}"} for made in both)
        tenants.append(Tenant(name, ann, bob))
    pair = Neighbours(guarded, tenants)
    with pair.client:
        await asyncio.to_thread(settle, pair)
        yield pair


def settle(both: Neighbours) -> None:
    """Makes a few things of each kind for both."""
    for mine, other in (both.tenants, both.tenants[::-1]):
        for number in range(2):
            for name in ("POST /v1/deployments", "POST /v1/freezes", "POST /v1/tokens", "POST /api/environments"):
                both.ask(name, mine, other, Random(number))


def routes(rollbook: Running) -> list[Route]:
    """The routes that ask who is there."""
    api: Any = rollbook.app.api()
    return [route for route in api.routes if not route.open]


async def test_every_route_is_tried(guarded: Running) -> None:
    assert {f"{route.method} {route.path}" for route in routes(guarded)} == REQUESTS.keys()


async def test_an_id_of_another_tenant_names_nothing_at_any_route(neighbours: Neighbours, database: Database) -> None:
    def knock() -> None:
        mine, other = neighbours.tenants
        seen = neighbours.view(other)
        for name in (name for name in REQUESTS if "{" in name):
            method, template = name.split()
            found = PARAMETER.search(template)
            assert found
            for one in other.ids[found[1]]:
                path = PARAMETER.sub(one, template)
                body = REQUESTS[name](Hand(mine, other, Random(1)))
                answer = neighbours.client.request(method, path, headers=mine.headers, **body)
                assert answer.status_code == 404, (name, answer.text)
                neighbours.check(answer, mine, other)
        assert neighbours.view(other) == seen

    await asyncio.to_thread(knock)
    with psycopg.connect(database.admin_url) as admin:
        assert admin.execute("select count(*) from rollbook.leases").fetchone() == (0,)


def meet(neighbours: Neighbours, examples: int) -> None:
    """One of the two does what it likes, and the other notices nothing."""

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(who=st.sampled_from([0, 1]), steps=STEPS)
    def each(who: int, steps: list[tuple[str, int]]) -> None:
        mine, other = neighbours.tenants[who], neighbours.tenants[1 - who]
        seen = neighbours.view(other)
        for name, seed in steps:
            neighbours.ask(name, mine, other, Random(seed))
        assert neighbours.view(other) == seen

    each()


def turn(name: str) -> tuple[bool, bool, bool, str]:
    """First what needs things as work began with them, last what needs a rollback before it."""
    return "release" in name, "rollback" in name, not name.endswith(("approve", "heartbeat")), name


def meet_everywhere(neighbours: Neighbours) -> None:
    """Both ask at every route, with others' ids and their own, until they were answered with success."""
    for mine, other in (neighbours.tenants, neighbours.tenants[::-1]):
        neighbours.begin_work(mine)
        seen = neighbours.view(other)
        for name in sorted(REQUESTS, key=turn):
            for seed in range(100):
                if neighbours.ask(name, mine, other, Random(seed)).status_code < 300:
                    break
            else:
                pytest.fail(f"{name} was never answered with success")
        assert neighbours.view(other) == seen


async def test_neither_of_two_tenants_sees_or_changes_anything_of_the_other(neighbours: Neighbours) -> None:
    await asyncio.to_thread(meet_everywhere, neighbours)
    await asyncio.to_thread(meet, neighbours, 6)


@pytest.mark.faults
@pytest.mark.timeout(900)
async def test_nor_do_they_when_they_meet_for_long(neighbours: Neighbours) -> None:
    await asyncio.to_thread(meet, neighbours, 100)
