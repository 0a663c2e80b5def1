"""The tours in README work as they stand, and show what README says."""

import asyncio
import json
import re
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from tests.cli.stand_in import rollbook
from tests.conftest import Database, open_folder
from tests.databases.conftest import other, shop
from tests.process.conftest import eventually, started
from tests.process.test_documents import README
from tests.process.tour import Tour, altered, differs, pasted, tour

__all__ = ["other", "shop"]
FIVE_MINUTES, MOVING, RECORD = tour("Five minutes"), tour("Moving data"), tour("The record")
ENVIRONMENTS = "".join(re.findall(r"^```yaml\n(- .*?)^```$", README, re.MULTILINE | re.DOTALL)[:1])
TABLES = b"""
create table customers (id serial primary key, name text, password_hash text);
create table orders (id serial primary key, customer_id int references customers, order_date date, total numeric);
"""
THREE_OF_EACH = b"""
insert into customers (name, password_hash) values ('Ada', 'a'), ('Ben', 'b'), ('Eve', 'e');
insert into orders (customer_id, order_date, total)
values (1, '2024-06-01', 10), (2, '2025-02-01', 20.50), (3, '2025-03-01', 30);
"""
TWO_OF_ITS_OWN = b"insert into customers (name) values ('Yan'), ('Zoe');"


@pytest.mark.parametrize("one", [FIVE_MINUTES, MOVING, RECORD])
def test_a_tour_is_nothing_but_commands_and_what_they_show(one: Tour) -> None:
    assert one.commands
    told = zip(one.commands, one.shown, strict=True)
    assert "".join(f"$ {command}{shown}" for command, shown in told) == "".join(one.blocks)


@pytest.mark.parametrize(
    ("shown", "answer", "same"),
    [
        ('{"id":"0b43851b-...", ... "status":"deployed", ...}', '{"id":"%s","a":1,"status":"deployed","b":{}}', True),
        ('{ ... "status":"deployed", ...}', '{"a":{"status":"deployed"},"status":"scheduled","b":2}', False),
        ('[{ ... "position":3, ...},\n {}]', '[{"id":1,"position":3,"b":2},{}]', True),
        ('[{ ... "position":3, ...},\n {}]', '[{"id":1},{"position":3,"b":2},{}]', False),
        ("0b43851b-... 0b43851b-...", "%s %s", True),
        ("0b43851b-... 5238e0f0-...", "%s %s", False),
        ("A  B", "A B", False),
    ],
)
def test_what_readme_leaves_out_may_be_anything_else_in_the_same_object(shown: str, answer: str, same: bool) -> None:
    answer = answer.replace("%s", "12345678-1234-1234-1234-123456789012")
    assert (differs([shown], [answer]) is None) == same


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")


@needs_curl
async def test_every_step_shows_what_readme_says_and_nothing_else(servers: dict[str, str]) -> None:
    with open_folder("tour") as folder:
        async with started(folder, **servers, AUTH_ENABLED="false", READ_WAIT_MS="20000") as instance:
            compare(FIVE_MINUTES, await pasted(FIVE_MINUTES.commands, instance.url))


@needs_curl
async def test_data_moves_as_readme_says(servers: dict[str, str], shop: str, other: str) -> None:
    with psycopg.connect(shop) as dev, psycopg.connect(other) as staging:
        dev.execute(TABLES + THREE_OF_EACH)
        staging.execute(TABLES + TWO_OF_ITS_OWN)
    with open_folder("moving") as folder:
        (folder / "environments.yaml").write_text(ENVIRONMENTS)
        settings = {"AUTH_ENABLED": "false", "READ_WAIT_MS": "20000", "ENVIRONMENTS_FILE": "environments.yaml"}
        async with started(folder, **servers, **settings, DEV_DSN=shop, STAGING_DSN=other) as instance:
            compare(MOVING, await pasted(MOVING.commands, instance.url))


SMALL = ("demo", "--components", "8", "--environments", "2", "--days", "3", "--json")
MOMENT, POSITIONS = datetime(2026, 11, 21, 16, 58, tzinfo=UTC), {"approved": "49460", "deployed": "49498"}


@pytest.mark.faults
async def test_what_changed_and_who_did_it_is_found_and_proved_as_readme_says(
    servers: dict[str, str], database: Database
) -> None:
    with open_folder("record") as folder:
        own = servers | {"DATABASE_OWNER_URL": database.owner_url, "DATA_DIR": str(folder)}
        facts = (await asyncio.to_thread(rollbook, *SMALL, **own)).json
        around = {"BEFORE": facts["an_hour_before"], "MOMENT": facts["incident_at"]}
        quick = {"AUTH_ENABLED": "false", "READ_WAIT_MS": "20000", "CHECKPOINT_SECONDS": "1"}
        async with started(folder, **servers, **quick) as instance, httpx2.AsyncClient(base_url=instance.url) as client:
            await eventually(lambda: sealed(client, facts["events"]))
            there = await where(client, facts["caused_by"])
            path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
            answers = await pasted(RECORD.commands, instance.url, **own, **around, PATH=path)
    by = datetime.fromisoformat(facts["incident_at"]) - MOMENT
    compare(Tour(RECORD.blocks, RECORD.commands, [moved(shown, by, there) for shown in RECORD.shown]), answers)


async def sealed(client: httpx2.AsyncClient, position: int) -> bool:
    """Whether a checkpoint says so, and everything that is asked has its read model."""
    asked = ("/v1/audit/checkpoints?latest=true", "/v1/lanes", "/v1/incidents", "/v1/metrics/dora", "/v1/fleet")
    replies = [await client.get(path) for path in asked]
    found: list[Any] = replies[0].json().get("checkpoints", [])
    return all(reply.status_code == 200 for reply in replies) and any(
        json.loads(one["checkpoint"])["position"] >= position for one in found
    )


async def where(client: httpx2.AsyncClient, deployment: str) -> dict[str, str]:
    """At which positions the events are that README shows at others."""
    found = (await client.get("/v1/audit/events", params={"stream": f"deployment-{deployment}"})).json()["events"]
    at = {one["topic"].partition(".")[2]: str(one["position"]) for one in found}
    return {shown: at[what] for what, shown in POSITIONS.items()}


def moved(shown: str, by: timedelta, positions: dict[str, str]) -> str:
    """What README shows of another day, in a log of another length."""
    shown = re.sub("|".join(positions), lambda found: positions[found.group()], shown)
    moments = re.compile(r"\d{4}-\d\d-\d\dT[\d:]{8}Z")
    return moments.sub(lambda found: f"{datetime.fromisoformat(found.group()) + by:%Y-%m-%dT%H:%M:%SZ}", shown)


def compare(one: Tour, answers: list[str]) -> None:
    """Each step prints what README shows, and every word of that counts."""
    first = differs(one.shown, answers)
    assert first is None, f"$ {one.commands[first]}{answers[first]}"
    assert [other for other in altered(one.shown) if differs(other, answers) is None] == []
