"""The twins reach a stream of their own, each once, whatever fails on the way."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
import pytest
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from adapters.nats.cdevents import EVERY_TWIN, Known, has_twins, twin_message, twins
from adapters.nats.connection import connection
from adapters.nats.relay import Relay
from adapters.nats.source import StoredEvent
from adapters.nats.stream import Stream
from adapters.nats.subjects import token
from adapters.nats.twin_relay import TwinRelay
from adapters.postgres.twin_facts import TwinFacts
from tests.conftest import Running
from tests.feed.ground import LIMIT, MemoryLog, Server, caught_up, client, eventually, feed, running
from tests.queue.conftest import LANE, Queue
from tests.sharing import own_organisation


@dataclass
class Told:
    """Knows the same of everything."""

    async def known(self, event: StoredEvent) -> Known | None:
        return Known("shop", version="2", environment="production") if has_twins(event.topic) else None


async def received(url: str, subject: str = EVERY_TWIN) -> list[Msg]:
    """Every twin in the stream, in order."""
    async with client(url) as connected:
        js = connected.jetstream()
        count = (await js.stream_info("CDEVENTS", subjects_filter=subject)).state.subjects or {}
        subscription = await js.subscribe(subject, stream="CDEVENTS", config=ConsumerConfig(ack_policy=AckPolicy.NONE))
        return [await subscription.next_msg(timeout=LIMIT) for _ in range(sum(count.values()))]


def expected(log: MemoryLog) -> list[str]:
    """The ids of all twins of the log, in order."""
    known = Known("shop", version="2", environment="production")
    told = [one for one in log.events if has_twins(one.topic)]
    return [twin_message(e, twin, log.store, log.epoch).headers["ce-id"] for e in told for twin in twins(e, known)]


def ids(messages: Sequence[Msg]) -> list[str]:
    return [(one.headers or {})["ce-id"] for one in messages]


def month(log: MemoryLog) -> None:
    """Events with two twins, one and none."""
    for topic in ("deployment.deployed", "lane.held", "deployment.failed", "rules.set", "deployment.deployed"):
        log.commit(1, topic=topic, payload=b"{}", stream_id="deployment-1")


async def test_every_twin_is_told_once_also_by_relays_that_race_and_begin_again(server: Server, log: MemoryLog) -> None:
    for _ in range(2):
        month(log)
        relays = [TwinRelay(log, Told(), server.url, window=window) for window in (1, 64)]
        async with running(relays[0]), running(relays[1]):
            month(log)
            for relay in relays:
                await caught_up(relay, log)
    assert ids(await received(server.url)) == expected(log)


async def test_a_relay_that_died_between_two_twins_of_one_event_tells_the_other(server: Server, log: MemoryLog) -> None:
    month(log)
    await publish(server, log, 1)
    relay = TwinRelay(log, Told(), server.url)
    async with running(relay):
        await caught_up(relay, log)
    assert ids(await received(server.url)) == expected(log)


async def publish(server: Server, log: MemoryLog, count: int) -> None:
    """Puts the first twins into the stream, as if nobody had come further."""
    known = Known("shop", version="2", environment="production")
    told = [twin_message(one, twin, log.store, log.epoch) for one in log.events[:1] for twin in twins(one, known)]
    async with connection(server.url, LIMIT) as opened:
        await Stream(opened.jetstream(), "CDEVENTS", 1, EVERY_TWIN).prepare()
        await opened.publish(told[:count], 0)


@pytest.mark.parametrize("change", ["epoch", "store", "other events"])
async def test_another_log_is_told_from_its_beginning(server: Server, log: MemoryLog, change: str) -> None:
    month(log)
    relay = TwinRelay(log, Told(), server.url)
    async with running(relay):
        await caught_up(relay, log)
    log.epoch += change == "epoch"
    log.store += "-other" if change == "store" else ""
    if change == "other events":
        log.events = []
        month(log)
    async with running(TwinRelay(log, Told(), server.url)) as again:
        await caught_up(again, log)
    assert ids(await received(server.url)) == expected(log)


async def test_the_feed_beside_it_stays_complete(server: Server, log: MemoryLog) -> None:
    month(log)
    relays = (Relay(log, server.url), TwinRelay(log, Told(), server.url))
    async with running(relays[0]), running(relays[1]):
        for relay in relays:
            await caught_up(relay, log)
    assert len(await feed(server.url, len(log.events))) == len(log.events)


@pytest.mark.asyncio(loop_scope="session")
async def test_the_life_of_a_lane_is_told_in_the_words_of_the_standard(quiet: Running, server: Server) -> None:
    queue = Queue(quiet.client, own_organisation())
    await live_and_back(queue)
    last = await quiet.app.log.head()
    relay = TwinRelay(quiet.app.log, TwinFacts(quiet.app.store), server.url)

    async def done() -> bool:
        return relay.position >= last

    async with running(relay):
        await eventually(done)
    messages = await received(server.url, f"cdevents.{token(queue.organisation)}.>")
    told = [orjson.loads(message.data) for message in messages]
    kinds = [one["context"]["type"].removeprefix("dev.").rpartition(".0.")[0] for one in told]
    assert [kind for kind in kinds if "pipelinerun" not in kind] == [
        "cdevents.service.deployed",
        "cdevents.service.upgraded",
        "cdeventsx.rollbook-deployment.superseded",
        "cdevents.service.rolledback",
        "cdeventsx.rollbook-freeze.declared",
        "cdeventsx.rollbook-freeze.lifted",
        "cdevents.environment.created",
        "cdevents.environment.modified",
        "cdevents.environment.deleted",
        "cdevents.incident.detected",
        "cdevents.incident.detected",
        "cdevents.incident.resolved",
    ]
    assert [one["subject"]["content"].get("artifactId") for one in told if "incident" in one["context"]["type"]] == [
        None,
        "pkg:generic/shop@3",
        "pkg:generic/shop@3",
    ]
    versions = [one["subject"]["content"]["artifactId"] for one in told if "cdevents.service" in one["context"]["type"]]
    assert versions == ["pkg:generic/shop@1", "pkg:generic/shop@3", "pkg:generic/shop@1"]


SINCE_MARCH = {"title": "Checkout is down", "began_at": "2026-03-01T12:00:00Z"}


async def live_and_back(queue: Queue) -> None:
    """A lane with a first version, one that was overtaken, another, and a way back; a freeze; an environment; an
    incident."""
    await queue.live("1")
    await queue.create("2")
    broken = await queue.live("3")
    back = await queue.ask("POST", "/v1/deployments/rollback", 201, params=LANE)
    await queue.report(back, "deployed")
    freeze = await queue.ask("POST", "/v1/freezes", 201, json={"scope": {}, "reason": "sale"})
    await queue.ask("POST", f"/v1/freezes/{freeze['id']}/lift", json={"reason": "over"})
    place = {"name": "staging", "kind": "postgresql", "dsn": "file:a"}
    await queue.ask("POST", "/api/environments", 201, json=place)
    await queue.ask("PUT", "/api/environments/staging", json={**place, "dsn": "file:b"})
    await queue.ask("DELETE", "/api/environments/staging")
    incident = await queue.ask("POST", "/v1/incidents", 201, json=SINCE_MARCH)
    for deployment, relation in ((broken, "caused"), (back, "fixed")):
        link = {"deployment_id": deployment["id"], "relation": relation}
        await queue.ask("POST", f"/v1/incidents/{incident['id']}/links", json=link)
    await queue.ask("POST", f"/v1/incidents/{incident['id']}/resolve", json={})
