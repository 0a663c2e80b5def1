"""The relay copies the log to the feed: whole, once and in order."""

import os

from adapters.nats.relay import Relay
from tests.feed.ground import MemoryLog, Server, caught_up, client, event, feed, ids, logged, running, until_problem


async def test_every_event_arrives_once_and_in_order(server: Server, log: MemoryLog) -> None:
    log.commit(1, 3, 1, 500, 2)
    relay = Relay(log, server.url, window=4)
    async with running(relay):
        await caught_up(relay, log)
        for size in (1, 2, 1):
            log.commit(size)
            await caught_up(relay, log)
    assert ids(await feed(server.url, 511)) == logged(log)


async def test_a_relay_started_again_goes_on_where_the_stream_ends(server: Server, log: MemoryLog) -> None:
    for _ in range(3):
        log.commit(2, 1)
        relay = Relay(log, server.url)
        async with running(relay):
            await caught_up(relay, log)
    assert ids(await feed(server.url, 9)) == logged(log)


async def test_a_relay_that_died_inside_a_commit_finishes_that_commit(server: Server, log: MemoryLog) -> None:
    log.commit(5)
    whole, log.events = log.events, log.events[:3]
    relay = Relay(log, server.url)
    async with running(relay):
        await caught_up(relay, log)
    log.events = whole
    relay = Relay(log, server.url)
    async with running(relay):
        await caught_up(relay, log)
    assert ids(await feed(server.url, 5)) == logged(log)


async def test_relays_that_race_write_every_event_once_and_in_order(server: Server, log: MemoryLog) -> None:
    relays = [Relay(log, server.url, window=window) for window in (1, 7, 64)]
    async with running(relays[0]), running(relays[1]), running(relays[2]):
        for size in (3, 1, 40, 2, 200, 1):
            log.commit(size)
            await caught_up(relays[0], log)
        for relay in relays:
            await caught_up(relay, log)
    assert ids(await feed(server.url, 247)) == logged(log)


async def test_the_largest_legal_events_pass_a_window_at_a_time(server: Server, log: MemoryLog) -> None:
    envelope = {"rule": {"inputs": "ü" * 40_000}}
    log.commit(1, *[16] * 4, payload=os.urandom(256 * 1024), envelope=envelope)
    relay = Relay(log, server.url)
    async with running(relay):
        await caught_up(relay, log)
    messages = await feed(server.url, 65)
    assert ids(messages) == logged(log)
    assert {message.data for message in messages} == {log.events[0].payload}
    assert (messages[0].headers or {})["rollbook-envelope-bytes"] == str(len(log.events[0].envelope_bytes))


async def test_organisations_of_any_name_arrive_under_their_own_subject(server: Server, log: MemoryLog) -> None:
    names = ["a.b", "*", ">", "two words", "größe", "日本", "a%2Eb", "", "x\r\nce-id: forged", "𝕏" * 250]
    for name in names:
        log.commit(1, organisation=name)
    relay = Relay(log, server.url)
    async with running(relay):
        await caught_up(relay, log)
    messages = await feed(server.url, len(names))
    assert ids(messages) == logged(log)
    assert len({message.subject for message in messages}) == len(names)
    assert all(message.subject.count(".") == 3 for message in messages)


async def test_an_event_beyond_the_servers_limit_is_named_and_nothing_overtakes_it(
    server: Server, log: MemoryLog
) -> None:
    log.commit(2)
    log.commit(1, payload=bytes(1024 * 1024))
    log.commit(1)
    relay = Relay(log, server.url, window=1)
    async with running(relay):
        await until_problem(relay, "max_payload")
        log.events[2] = event(3)
        await caught_up(relay, log)
    assert ids(await feed(server.url, 4)) == logged(log)


async def test_subscribers_may_fetch_from_the_stream_directly(server: Server, log: MemoryLog) -> None:
    log.commit(1)
    relay = Relay(log, server.url)
    async with running(relay):
        await caught_up(relay, log)
    async with client(server.url) as connected:
        found = await connected.jetstream().get_last_msg("ROLLBOOK", "rollbook.acme.deployment.scheduled", direct=True)
    assert found.data == log.events[0].payload
