"""What became of tables since a package was packed or deployed: they still fit, or it is refused and nothing moves."""

from typing import Any

import httpx2
import pytest

from tests.deployments.conftest import SOLD, Shop, rows, run

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]
EVERYTHING = "select (select count(*) from customers), (select count(*) from pg_class where relname = 'orders')"
NO_HARM = {
    "a column with a default was added": "alter table orders add paid bool not null default false",
    "a column that may be null was added": "alter table customers add phone text",
    "a type became wider": "alter table orders alter amount type numeric, alter id type bigint",
    "columns were put into another order": "alter table customers drop mail; alter table customers add mail text",
    "a key was dropped": "alter table orders drop constraint orders_pkey",
}
HARM = {
    "a column was dropped": ("alter table orders drop amount", "amount"),
    "a column was renamed": ("alter table orders rename placed to ordered", "placed"),
    "a column that must not be null was added": (
        "alter table orders add paid bool not null default false; alter table orders alter paid drop default",
        "paid",
    ),
    "a type became another": ("alter table orders alter placed type int using 0", "placed"),
    "a type became narrower": ("alter table customers alter mail type varchar(3)", "varying(3)"),
    "a table was dropped": ("drop table orders", "orders"),
    "a table was renamed": ("alter table orders rename to sales", "orders"),
    "a table became a view": ("alter table orders rename to o; create view orders as select * from o", "orders"),
    "a key became another": (
        "alter table orders drop constraint orders_pkey; alter table orders add primary key (customer, placed)",
        "",
    ),
    "a check was added": ("alter table orders add constraint dear check (amount > 1)", "dear"),
}


@pytest.mark.parametrize("what", NO_HARM)
async def test_a_target_that_still_fits_is_deployed_to(shop: Shop, what: str) -> None:
    package = await shop.pack()
    run(shop.staging, NO_HARM[what])
    made = (await shop.deploy(package))["deployment"]
    assert rows(shop.staging) == SOLD
    await shop.roll_back(made["id"])
    assert rows(shop.staging, "select count(*) from customers") == [(7,)]


@pytest.mark.parametrize("what", HARM)
async def test_a_target_that_fits_no_more_has_nothing_and_the_history_the_reason(shop: Shop, what: str) -> None:
    package = await shop.pack()
    statement, named = HARM[what]
    run(shop.staging, statement)
    before = rows(shop.staging, EVERYTHING)
    for dry_run in (True, False):
        body = {"environment": "staging", "options": {"dry_run": dry_run}}
        refused = await asked(shop, f"/packages/{package}/deploy", body)
        assert refused.status_code in (400, 409), refused.text
        assert named in refused.json()["error"]
    assert rows(shop.staging, EVERYTHING) == before
    (failed,) = await shop.deployments()
    assert (failed["status"], failed["errorlog"]) == ("failed", [refused.json()["error"]])
    assert await shop.actions(package) == [("deploy", "failed"), ("validate", "failed"), ("pack", "completed")]


async def asked(shop: Shop, path: str, body: dict[str, Any]) -> httpx2.Response:
    """Whatever is answered."""
    headers = {"X-Organisation": shop.organisation}
    return await shop.rollbook.client.post(f"/api{path}", headers=headers, json=body)


LATER = {
    "a column was dropped": "alter table orders drop amount",
    "a column was renamed": "alter table customers rename name to title",
    "a table was dropped": "drop table orders",
    "a table was renamed": "alter table orders rename to sales",
    "a key was dropped": "alter table orders drop constraint orders_pkey",
}


@pytest.mark.parametrize("what", LATER)
async def test_a_deployment_whose_tables_changed_is_taken_back_whole_or_not_at_all(shop: Shop, what: str) -> None:
    made = (await shop.deploy(await shop.pack()))["deployment"]["id"]
    run(shop.staging, LATER[what])
    there = rows(shop.staging, EVERYTHING)
    answered = await asked(shop, f"/deployments/{made}/rollback", {})
    told, status = await shop.deployment(made), answered.status_code
    if status == 200:
        assert told["status"] == "rolled_back"
        assert rows(shop.staging, "select count(*) from customers") == [(7,)]
    else:
        assert status in (400, 409)
        assert told["status"] == "completed"
        assert rows(shop.staging, EVERYTHING) == there
