"""Whoever follows the feed over HTTP gets every event of its organisation once, in order, from wherever it asks."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
from prometheus_client import REGISTRY

from tests.conftest import Running
from tests.feed.subscriber import SECONDS, deploy, everything, listening, move
from tests.sharing import own_organisation

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def history(quiet: Running, organisation: str) -> list[dict[str, Any]]:
    """What the log has of the organisation, read without the feed."""
    events = await quiet.app.log.fetch_after(0, 1_000_000)
    return [
        {"position": e.position, "sequence": e.sequence, "topic": e.topic, "hash": e.hash.hex(), "payload": e.data}
        for e in events
        if e.organisation == organisation
    ]


def core(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of what was told what `history` has."""
    return [{name: one[name] for name in ("position", "sequence", "topic", "hash", "payload")} for one in told]


async def test_from_the_beginning_it_is_the_whole_log_of_the_organisation(quiet: Running) -> None:
    acme, other = own_organisation(), own_organisation()
    for number in range(3):
        made = await deploy(quiet.client, acme, version=str(number))
        await move(quiet.client, acme, made, "in_progress")
        await deploy(quiet.client, other, version=str(number))
    told = await everything(quiet.client, acme)
    assert core(told) == await history(quiet, acme)
    assert {one["organisation"] for one in told} == {acme}
    assert [one["sequence"] for one in told] == list(range(1, len(told) + 1))


async def test_an_event_says_who_when_and_what(quiet: Running) -> None:
    acme = own_organisation()
    made = await deploy(quiet.client, acme)
    [told] = await everything(quiet.client, acme, topic="deployment.scheduled")
    assert told["stream"] == f"deployment-{made['id']}"
    assert told["payload"]["taxonomy"]["name"] == "shop"
    assert told["actor"] == told["payload"]["requested_by"]
    assert datetime.fromisoformat(told["recorded_at"]) >= datetime.fromisoformat(told["occurred_at"])
    assert told["commit_position"] >= told["position"] and told["epoch"] == 1


def reading_along() -> float:
    """How many there are, as it is counted."""
    return REGISTRY.get_sample_value("rollbook_feed_subscribers") or 0.0


async def test_who_reads_along_is_counted_as_long_as_they_do(quiet: Running) -> None:
    acme = own_organisation()
    await deploy(quiet.client, acme)
    async with listening(quiet.client, acme, from_="0") as one:
        await one.next()
        before = reading_along()
        async with listening(quiet.client, acme, from_="0") as other:
            await other.next()
            assert reading_along() == before + 1
        async with asyncio.timeout(SECONDS):
            while quiet.app.feed.members[acme] > 1:
                await asyncio.sleep(0.01)
        assert reading_along() == before


async def test_without_a_position_it_begins_now(quiet: Running) -> None:
    acme = own_organisation()
    await deploy(quiet.client, acme)
    async with listening(quiet.client, acme, topic="deployment.*") as made:
        second = await deploy(quiet.client, acme, version="2")
        assert (await made.next()).told["stream"] == f"deployment-{second['id']}"


async def test_who_comes_back_with_the_last_id_misses_nothing_and_gets_nothing_twice(quiet: Running) -> None:
    acme = own_organisation()
    for number in range(3):
        await deploy(quiet.client, acme, version=str(number))
    got, last = [], "0"
    for _ in await history(quiet, acme):
        async with listening(quiet.client, acme, last, from_="0") as made:
            block = await made.next()
            got.append(block.told)
            last = block.id
    assert core(got) == await history(quiet, acme)
    async with listening(quiet.client, acme, last) as made:
        await deploy(quiet.client, acme, version="later")
        assert (await made.next()).told["sequence"] == len(got) + 1


async def test_a_time_or_a_reference_is_a_beginning_too(quiet: Running) -> None:
    acme = own_organisation()
    first = await deploy(quiet.client, acme)
    [scheduled] = await everything(quiet.client, acme, topic="deployment.scheduled")
    await deploy(quiet.client, acme, version="2", name="other")
    for beginning in (
        scheduled["recorded_at"],
        str(scheduled["commit_position"]),
        f"production#{scheduled['position']}",
    ):
        wanted = {"from_": beginning, "follow": "false", "topic": "deployment.scheduled"}
        async with listening(quiet.client, acme, **wanted) as made:
            [told] = [block.told for block in await made.rest() if block.event]
            assert told["payload"]["release"]["version"] == "2" != first["version"]


async def test_to_is_the_end(quiet: Running) -> None:
    acme = own_organisation()
    for number in range(3):
        await deploy(quiet.client, acme, version=str(number))
    whole = await everything(quiet.client, acme)
    middle = whole[len(whole) // 2]["commit_position"]
    assert await everything(quiet.client, acme, to=str(middle)) == [e for e in whole if e["position"] <= middle]


@pytest.mark.parametrize("pattern", ["deployment.scheduled", "deployment.*", "*.scheduled", "deployment", "*"])
async def test_topics_are_chosen_by_patterns(quiet: Running, pattern: str) -> None:
    acme = own_organisation()
    made = await deploy(quiet.client, acme)
    await move(quiet.client, acme, made, "in_progress")
    whole = await everything(quiet.client, acme)
    first, _, second = pattern.partition(".")
    chosen = [
        one
        for one in whole
        if first in ("*", one["topic"].split(".")[0]) and (second or "*") in ("*", one["topic"].split(".")[1])
    ]
    assert await everything(quiet.client, acme, topic=pattern) == chosen
    assert 0 < len(chosen) <= len(whole)


async def test_what_a_stream_began_with_says_what_its_events_are_about(quiet: Running) -> None:
    acme = own_organisation()
    shop = await deploy(quiet.client, acme)
    till = await deploy(quiet.client, acme, name="till", environment="staging")
    for made in (shop, till):
        await move(quiet.client, acme, made, "in_progress")
    lane = next(one for one in await everything(quiet.client, acme, name="till") if one["topic"] == "lane.opened")
    by_lane = await everything(quiet.client, acme, aggregate="deployment", lane=lane["stream"])
    by_environment = await everything(quiet.client, acme, aggregate="deployment", environment="staging")
    assert [one["topic"] for one in by_lane] == ["deployment.scheduled", "deployment.started"]
    assert {one["stream"] for one in by_lane} == {f"deployment-{till['id']}"}
    assert by_environment == by_lane == await everything(quiet.client, acme, aggregate="deployment", name="till")


async def test_a_filter_holds_live_as_it_holds_in_the_past(quiet: Running) -> None:
    acme = own_organisation()
    wanted = {"environment": "staging", "aggregate": "deployment"}
    async with listening(quiet.client, acme, **wanted) as live:
        for number, environment in enumerate(["staging", "production", "staging"]):
            made = await deploy(quiet.client, acme, version=str(number), environment=environment)
            await move(quiet.client, acme, made, "in_progress")
        assert await live.events(4) == await everything(quiet.client, acme, **wanted)


async def test_what_is_left_out_moves_the_last_id_too(quiet: Running) -> None:
    acme = own_organisation()
    await deploy(quiet.client, acme)
    async with listening(quiet.client, acme, from_="0", follow="false", topic="nothing.*") as made:
        blocks = await made.rest()
    last = (await everything(quiet.client, acme))[-1]["position"]
    assert not any(block.event for block in blocks)
    assert int(blocks[-1].id) >= last


async def test_two_tenants_share_a_process_and_not_an_event(quiet: Running) -> None:
    acme, other = own_organisation(), own_organisation()
    async with listening(quiet.client, acme) as ours, listening(quiet.client, other) as theirs:
        for number in range(3):
            await deploy(quiet.client, acme, version=str(number))
            await deploy(quiet.client, other, version=str(number))
        for made, organisation in ((ours, acme), (theirs, other)):
            whole = await everything(quiet.client, organisation)
            assert await made.events(len(whole)) == whole
            assert {one["organisation"] for one in whole} == {organisation}


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"from": "yesterday"}, 400, "INVALID"),
        ({"from": "999999999999"}, 400, "INVALID"),
        ({"from": "1.7"}, 410, "EPOCH_OVER"),
        ({"from": "2999-01-01T00:00:00Z"}, 400, "INVALID"),
        ({"topic": "deployment.%"}, 422, "UNPROCESSABLE"),
        ({"topic": "a.b.c"}, 422, "UNPROCESSABLE"),
        ({"aggregate": "'; drop table"}, 422, "UNPROCESSABLE"),
        ({"lane": "shop"}, 422, "UNPROCESSABLE"),
        ({"follow": "perhaps"}, 422, "UNPROCESSABLE"),
    ],
)
async def test_what_makes_no_sense_is_refused_in_words(
    quiet: Running, asked: dict[str, str], status: int, code: str
) -> None:
    answer = await quiet.client.get("/v1/events", params=asked)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_position_of_another_epoch_is_gone(quiet: Running) -> None:
    facts = [{"Last-Event-ID": "1.7"}, {"Last-Event-ID": "1", "X-Rollbook-Epoch": "7"}]
    for headers in facts:
        answer = await quiet.client.get("/v1/events", headers=headers)
        assert (answer.status_code, answer.headers["x-error-code"]) == (410, "EPOCH_OVER")
        assert answer.headers["x-rollbook-epoch"] == "1"
