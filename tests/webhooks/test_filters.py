"""A webhook is told of what its filters let through, also where an event alone does not say what it is about."""

from typing import Any

import pytest

from tests.webhooks.conftest import Hooks
from tests.webhooks.receiver import Receiver

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def live_a_little(hooks: Hooks) -> tuple[Any, Any]:
    """Two lanes and two environments; what is deployed in each says so only in its first event."""
    shop = await hooks.deploy(environment="production")
    till = await hooks.deploy(name="till", environment="staging")
    headers = {"X-Organisation": hooks.organisation}
    for one in (shop, till):
        path = f"/v1/deployments/{one['id']}"
        answer = await hooks.rollbook.client.patch(path, json={"status": "deployed"}, headers=headers)
        assert answer.status_code == 200
    return shop, till


async def told(hooks: Hooks, receiver: Receiver, **filters: list[str]) -> tuple[set[str], Any, Any]:
    """The streams of deployments that it was told of to the end, and both deployments."""
    made = await hooks.add(receiver.url(), 201, **filters)
    shop, till = await live_a_little(hooks)
    await hooks.settle()
    await hooks.ask("DELETE", f"/{made['id']}")
    ends = {one.told["subject"] for one in receiver.came if one.topic == "deployment.deployed"}
    return ends, f"deployment-{shop['id']}", f"deployment-{till['id']}"


async def test_a_webhook_without_filters_is_told_of_everything(hooks: Hooks, receiver: Receiver) -> None:
    found, shop, till = await told(hooks, receiver)
    assert found == {shop, till}
    recorded = await hooks.recorded()
    assert [one.topic for one in receiver.came] == [event.topic for event in recorded[1:-1]]


async def test_an_environment_is_known_of_every_event_of_a_deployment(hooks: Hooks, receiver: Receiver) -> None:
    found, shop, _ = await told(hooks, receiver, environments=["production", "other"])
    assert found == {shop}


async def test_a_component_is_known_of_every_event_of_a_deployment(hooks: Hooks, receiver: Receiver) -> None:
    found, _, till = await told(hooks, receiver, names=["till"])
    assert found == {till}


async def test_a_lane_is_known_of_every_event_of_its_deployments(hooks: Hooks, receiver: Receiver) -> None:
    lane = (await hooks.deploy())["lane_id"]
    assert lane
    found, shop, _ = await told(hooks, receiver, lanes=[lane])
    assert found == {shop}
    assert {one.topic.partition(".")[0] for one in receiver.came} == {"deployment", "lane"}


async def test_kinds_of_filters_agree_and_values_are_alternatives(hooks: Hooks, receiver: Receiver) -> None:
    topics = ["deployment.*", "lane.opened"]
    await told(hooks, receiver, topics=topics, aggregates=["deployment"], environments=["staging"])
    assert [one.topic for one in receiver.came] == ["deployment.scheduled", "deployment.deployed"]


async def test_other_filters_count_from_when_they_were_given(hooks: Hooks, receiver: Receiver) -> None:
    made = await hooks.add(receiver.url(), topics=["freezes.*"])
    await hooks.deploy(version="1")
    await hooks.ask("PATCH", f"/{made['id']}", json={"filters": {"topics": ["deployment.scheduled"]}})
    await hooks.deploy(version="2")
    await hooks.settle()
    assert [one.told["data"]["payload"]["release"]["version"] for one in receiver.came] == ["2"]


@pytest.mark.parametrize(
    "filters",
    [
        *(
            {"topics": [one]}
            for one in ("deployment.flown", "nothing.*", "Deployment.*", "deployment.*.x", "", ".", "%")
        ),
        {"aggregates": ["deployments"]},
        {"environment": ["production"]},
        {"topics": "deployment.*"},
        {"names": [""]},
        {"names": ["x"] * 101},
    ],
)
async def test_a_filter_that_could_let_nothing_through_is_refused(hooks: Hooks, filters: dict[str, Any]) -> None:
    answer = await hooks.rollbook.client.post(
        "/v1/webhooks", json={"name": "hook", "url": "http://127.0.0.1:9/", "filters": filters}
    )
    assert answer.status_code in (400, 422), answer.text
