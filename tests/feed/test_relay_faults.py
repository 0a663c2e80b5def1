"""The feed mends itself: whatever happens to NATS or to the log, it ends as the log's exact copy."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest
from nats.js.api import StreamConfig
from prometheus_client import REGISTRY

from adapters.nats.relay import Relay
from tests.feed.ground import (
    MemoryLog,
    Server,
    caught_up,
    client,
    eventually,
    feed,
    ids,
    logged,
    running,
    until_problem,
)


@pytest.fixture
def relay(server: Server, log: MemoryLog) -> Relay:
    return Relay(log, server.url, window=16, ack_seconds=1)


async def test_a_server_killed_under_load_loses_and_doubles_nothing(
    server: Server, log: MemoryLog, relay: Relay
) -> None:
    async with running(relay):
        for _ in range(3):
            log.commit(*[3] * 500)
            await past(relay, len(log.events) - 1400)
            await server.kill()
            await disconnected(relay)
            log.commit(2)
            await server.start()
        await caught_up(relay, log)
    assert ids(await feed(server.url, len(log.events))) == logged(log)


async def test_a_wiped_server_gets_everything_again(server: Server, log: MemoryLog, relay: Relay) -> None:
    log.commit(40, 2)
    async with running(relay):
        await caught_up(relay, log)
        await server.kill()
        await disconnected(relay)
        server.wipe()
        log.commit(1)
        await server.start()
        await caught_up(relay, log)
    assert ids(await feed(server.url, 43)) == logged(log)


async def delete_it(server: Server) -> None:
    async with client(server.url) as connected:
        await connected.jetstream().delete_stream("ROLLBOOK")


async def purge_it(server: Server) -> None:
    async with client(server.url) as connected:
        await connected.jetstream().purge_stream("ROLLBOOK")


async def purge_its_beginning(server: Server) -> None:
    async with client(server.url) as connected:
        await connected.jetstream().purge_stream("ROLLBOOK", keep=5)


async def write_into_it(server: Server) -> None:
    async with client(server.url) as connected:
        await connected.jetstream().publish("rollbook.acme.deployment.forged", b"{}", headers={"x": "größe"})


@pytest.mark.parametrize("harm", [delete_it, purge_it, purge_its_beginning, write_into_it])
async def test_a_stream_that_others_changed_is_whole_again_with_the_next_event(
    server: Server, log: MemoryLog, harm: Callable[[Server], Awaitable[None]]
) -> None:
    log.commit(9, 1)
    async with running(Relay(log, server.url)) as relay:
        await caught_up(relay, log)
    await harm(server)
    log.commit(1)
    async with running(Relay(log, server.url)) as relay:
        await caught_up(relay, log)
    assert ids(await feed(server.url, 11)) == logged(log)


async def test_a_stream_deleted_while_nothing_happens_comes_back_by_itself(
    server: Server, log: MemoryLog, relay: Relay
) -> None:
    log.commit(5)
    async with running(relay):
        await caught_up(relay, log)
        await delete_it(server)
        await eventually(lambda: holds(server, 5))
    assert ids(await feed(server.url, 5)) == logged(log)


async def test_a_restored_log_of_a_higher_epoch_replaces_the_stream(
    server: Server, log: MemoryLog, relay: Relay
) -> None:
    log.commit(3, 4)
    async with running(relay):
        await caught_up(relay, log)
        log.epoch, log.events = 2, log.events[:3]
        log.commit(1, 1)
        await eventually(lambda: holds(server, 5))
    messages = await feed(server.url, 5)
    assert ids(messages) == logged(log)
    assert {(message.headers or {})["rollbook-epoch"] for message in messages} == {"2"}


async def test_another_log_replaces_the_stream(server: Server, log: MemoryLog, relay: Relay) -> None:
    log.commit(3)
    async with running(relay):
        await caught_up(relay, log)
    other = MemoryLog(store=str(uuid4()))
    other.commit(1, 3)
    async with running(Relay(other, server.url)) as second:
        await caught_up(second, other)
    assert ids(await feed(server.url, 4)) == logged(other)


@pytest.mark.parametrize("commits", [0, 3])
async def test_a_log_that_lost_its_end_unannounced_replaces_the_stream(
    server: Server, log: MemoryLog, commits: int
) -> None:
    log.commit(1, 1, 1, 1)
    async with running(Relay(log, server.url)) as relay:
        await caught_up(relay, log)
    log.events = log.events[:2]
    log.commit(*[1] * commits)
    async with running(Relay(log, server.url)) as relay:
        await caught_up(relay, log)
    assert ids(await feed(server.url, 2 + commits)) == logged(log)


async def test_relays_that_race_to_rebuild_lose_nothing(server: Server, log: MemoryLog) -> None:
    log.commit(*[1] * 50)
    async with running(Relay(log, server.url)) as relay:
        await caught_up(relay, log)
    log.epoch = 2
    first, second = Relay(log, server.url, window=3), Relay(log, server.url, window=5)
    async with running(first), running(second):
        await caught_up(first, log)
        await caught_up(second, log)
    assert ids(await feed(server.url, 50)) == logged(log)


async def test_a_log_that_is_away_is_a_problem_and_nats_is_still_connected(
    server: Server, log: MemoryLog, relay: Relay
) -> None:
    log.broken = True
    async with running(relay):
        await until_problem(relay, "ConnectionError")
        await eventually(lambda: value(lambda: relay.connected))
        log.broken = False
        log.commit(1)
        await caught_up(relay, log)
    assert ids(await feed(server.url, 1)) == logged(log)


async def test_a_server_that_hangs_is_noticed_and_left(server: Server, log: MemoryLog, relay: Relay) -> None:
    async with running(relay):
        await caught_up(relay, log)
        server.pause(True)
        log.commit(*[1] * 40, payload=bytes(256 * 1024))
        await until_problem(relay, "Timeout")
        server.pause(False)
        await caught_up(relay, log)
    assert ids(await feed(server.url, 40)) == logged(log)


async def test_settings_that_would_drop_events_are_taken_back(server: Server, log: MemoryLog, relay: Relay) -> None:
    async with client(server.url) as connected:
        mean = StreamConfig(name="ROLLBOOK", subjects=["rollbook.acme.>"], max_msgs=3, max_age=60, description="ours")
        await connected.jetstream().add_stream(mean)
        log.commit(10)
        async with running(relay):
            await caught_up(relay, log)
        config = (await connected.jetstream().stream_info("ROLLBOOK")).config
    assert (config.max_msgs, config.max_age, config.max_bytes, config.max_msgs_per_subject) == (-1, 0, -1, -1)
    assert (config.storage, config.retention, config.discard, config.deny_delete) == ("file", "limits", "new", True)
    assert (config.duplicate_window, config.subjects, config.description) == (1, ["rollbook.>"], "ours")
    assert ids(await feed(server.url, 10)) == logged(log)


async def test_a_relay_without_a_server_says_so_without_the_password_and_ends_when_told(log: MemoryLog) -> None:
    relay = Relay(log, "nats://somebody:hunter2@127.0.0.1:1")
    async with running(relay):
        await until_problem(relay, "ConnectionRefusedError")
        assert not relay.connected
        assert "hunter2" not in (relay.problem or "")


async def test_position_and_lag_are_measured(server: Server, log: MemoryLog, relay: Relay) -> None:
    async with running(relay):
        log.commit(7)
        await caught_up(relay, log)
        await eventually(lambda: value(lambda: REGISTRY.get_sample_value("rollbook_relay_lag_events") == 0))
        assert REGISTRY.get_sample_value("rollbook_relay_position") == 7
        await server.kill()
        await disconnected(relay)
        log.commit(4)
        await eventually(lambda: value(lambda: REGISTRY.get_sample_value("rollbook_relay_lag_events") == 4))


async def holds(server: Server, count: int) -> bool:
    try:
        await asyncio.wait_for(feed(server.url, count), 2)
    except Exception:
        return False
    return True


async def past(relay: Relay, position: int) -> None:
    await eventually(lambda: value(lambda: relay.position >= position))


async def disconnected(relay: Relay) -> None:
    await eventually(lambda: value(lambda: not relay.connected))


async def value(of: Callable[[], bool]) -> bool:
    return of()
