"""The tours in README work as they stand, and show what README says."""

import re
import shutil

import psycopg
import pytest

from tests.conftest import open_folder
from tests.databases.conftest import other, shop
from tests.process.conftest import started
from tests.process.test_documents import README
from tests.process.tour import Tour, altered, differs, pasted, tour

__all__ = ["other", "shop"]
FIVE_MINUTES, MOVING = tour("Five minutes"), tour("Moving data")
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


@pytest.mark.parametrize("one", [FIVE_MINUTES, MOVING])
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


def compare(one: Tour, answers: list[str]) -> None:
    """Each step prints what README shows, and every word of that counts."""
    first = differs(one.shown, answers)
    assert first is None, f"$ {one.commands[first]}{answers[first]}"
    assert [other for other in altered(one.shown) if differs(other, answers) is None] == []
