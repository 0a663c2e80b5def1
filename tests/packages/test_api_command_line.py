"""The command line makes, moves and takes back packages on a real Rollbook."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.stand_in import Ended, rollbook
from tests.packages.market import Market

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def told(market: Market, *arguments: str, code: int = 0) -> Ended:
    """How a command ended."""
    where = {"API_URL": market.rollbook.url, "ORG": market.organisation}
    ended = await asyncio.to_thread(rollbook, "package", *arguments, **where)
    assert ended.code == code, ended
    return ended


async def answered(market: Market, *arguments: str) -> Any:
    """What a command answers as JSON."""
    return json.loads((await told(market, *arguments, "--json")).out)


async def created(market: Market, *more: str) -> str:
    """The id of a package of everything."""
    chosen = ("--env", "dev", "-t", "customers", "-t", "orders")
    return str((await answered(market, "create", "shop", "1", *chosen, *more))["package"]["id"])


async def test_a_package_is_made_moved_and_taken_back(market: Market, tmp_path: Path) -> None:
    chosen = ("--env", "dev", "-t", "orders", "--where", "orders=amount > 1", "--include-parent")
    found = await answered(market, "preview", *chosen)
    assert {table["name"]: table["rows"] for table in found["tables"]} == {"customers": 2, "orders": 2}
    made = await answered(market, "create", "shop", "1", *chosen, "--exclude", "customers.password_hash")
    package = made["package"]["id"]
    assert made["package"]["recordcounts"] == {"customers": 2, "orders": 2}
    file = tmp_path / "shop.zip"
    assert (await answered(market, "export", package, "-o", str(file)))["bytes"] == file.stat().st_size
    await told(market, "delete", package)
    package = (await answered(market, "import", str(file), "--env", "staging"))["package"]["id"]
    difference = await answered(market, "diff", package, "--env", "staging")
    assert difference["tables"]["orders"]["new"] == 2
    await told(market, "deploy", package, "--env", "staging", "--dry-run")
    assert market.sql("select count(*) from orders", market.staging) == [(0,)]
    deployed = (await answered(market, "deploy", package, "--env", "staging"))["deployment"]
    assert deployed["status"] == "completed"
    assert market.sql("select name, password_hash from customers order by name", market.staging) == [
        ("Bob", None),
        ("Cid", None),
    ]
    await told(market, "rollback", deployed["id"], "--reason", "tried")
    assert market.sql("select count(*) from orders", market.staging) == [(0,)]
    acted = (await answered(market, "actions", package))["actions"]
    assert [action["actiontype"] for action in acted] == ["rollback", "deploy", "validate", "import"]


async def test_people_are_told_in_tables(market: Market) -> None:
    package = await created(market)
    assert package in (await told(market, "list")).out
    shown = (await told(market, "show", package)).out
    assert "customers" in shown
    assert "pack" in shown
    assert "completed" in (await told(market, "actions", package)).out
    assert (
        "archived"
        in (await told(market, "update", package, "--status", "archived", "--tag", "old")).err
        + (await told(market, "list", "--status", "archived")).out
    )


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("show", "pkg-0b43851b-b109-4028-ba79-2e49c6138dbc"), 4, "not found"),
        (("create", "shop", "1", "--env", "dev", "-t", "nothing"), 1, "nothing"),
        (("create", "shop", "1", "--env", "dev", "-t", "orders", "--where", "orders"), 2, "--where"),
        (("create", "shop", "1", "--env", "dev", "-t", "orders", "--exclude", "orders"), 2, "TABLE.COLUMN"),
        (("create", "--file", "/nowhere/at/all"), 2, "cannot be read"),
    ],
)
async def test_what_went_wrong_is_an_exit_code(
    market: Market, arguments: tuple[str, ...], code: int, word: str
) -> None:
    assert word in (await told(market, *arguments, code=code)).err


async def test_a_package_that_cannot_be_packed_is_exit_code_1_with_the_reason(market: Market) -> None:
    chosen = ("--env", "dev", "-t", "customers", "--where", "customers=created_date > 'yesterdayish'")
    assert "yesterdayish" in (await told(market, "create", "shop", "1", *chosen, code=1)).err


async def test_a_definition_comes_from_a_file(market: Market, tmp_path: Path) -> None:
    file = tmp_path / "definition.json"
    file.write_text(
        json.dumps({"name": "shop", "version": "1", "environment": "dev", "filter": {"tables": ["orders"]}})
    )
    made = (await answered(market, "create", "--file", str(file), "--description", "all orders"))["package"]
    assert (made["name"], made["description"], made["recordcounts"]) == ("shop", "all orders", {"orders": 3})
