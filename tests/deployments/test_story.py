"""A package's life: packed, deployed, packed anew and deployed over itself, taken back; and all of it remembered."""

import pytest

from tests.deployments.conftest import SOLD, Shop, rows, run

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_package_is_deployed_updated_deployed_again_and_taken_back(shop: Shop) -> None:
    first = await shop.pack()
    made = (await shop.deploy(first))["deployment"]
    assert made["status"] == "completed"
    assert made["pk_mapping_result"]["customers"] == {"1": "8", "2": "9", "3": "10"}
    assert made["tables"]["orders"] == {"new": 3, "changed": 0, "same": 0, "failed": 0}
    assert rows(shop.staging) == SOLD
    before = (await shop.answer("GET", "/deployments")).headers["x-rollbook-position"]

    run(shop.source, "update customers set mail = 'bob@example.com' where name = 'Bob'")
    second = await shop.pack(version="1.1.0")
    again = (await shop.deploy(second, update_existing=True))["deployment"]
    assert again["tables"]["customers"] == {"new": 0, "changed": 1, "same": 2, "failed": 0}
    assert (await shop.deploy(second, update_existing=True))["deployment"]["tables"]["customers"]["changed"] == 0
    listed = await shop.deployments(environment="staging")
    assert [one["isactive"] for one in listed] == [True, False, False]
    assert listed[2]["replacedby"] == listed[1]["id"] == again["id"]
    assert [one["isactive"] for one in await shop.deployments(as_of=before)] == [True]

    for one in (listed[0]["id"], again["id"]):
        assert (await shop.roll_back(one, reason="too early"))["deployment"]["status"] == "rolled_back"
    assert (await shop.deployment(made["id"]))["isactive"] is True
    assert rows(shop.staging, "select mail from customers where name = 'Bob'") == [(None,)]
    assert rows(shop.staging) == SOLD
    taken = await shop.roll_back(made["id"])
    assert taken["tables"]["customers"]["new"] == 3
    assert rows(shop.staging, "select count(*) from customers") == [(7,)]
    assert (await shop.deployment(made["id"], as_of=before))["status"] == "completed"
    assert await shop.actions(first) == [("rollback", "completed"), ("deploy", "rolled_back"), ("pack", "completed")]
    then = (await shop.ask("GET", f"/packages/{first}/actions", params={"as_of": before}))["actions"]
    assert [one["actionstatus"] for one in then] == ["completed", "completed"]
