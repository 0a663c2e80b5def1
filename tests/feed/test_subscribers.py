"""An organisation's subscriber sees its own subjects, live and from a place of its own, and can do nothing else."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig
from pydantic import SecretStr

from adapters.embedded.nats import EmbeddedNats
from adapters.embedded.subscribers import FILE
from adapters.nats.cdevents import TYPES
from adapters.nats.relay import Relay
from adapters.settings import Settings
from domain.errors import Invalid, NotFound, Unavailable
from entrypoints.subscribers import admit, dismiss, known
from tests.conftest import open_folder
from tests.feed.ground import LIMIT, MemoryLog, Server, caught_up, eventually, running
from tests.feed.ground import client as anybody

OURS, THEIRS = "ac.me", "ot*er"
Facts = dict[str, Any]


@pytest.fixture
async def broker() -> AsyncIterator[EmbeddedNats]:
    """A server as `rollbook up` runs it, that lets subscribers in as they come."""
    stop = asyncio.Event()
    with open_folder("subscribers") as folder:
        async with EmbeddedNats(folder) as server:
            task = asyncio.create_task(server.admit(stop))
            yield server
            stop.set()
            await asyncio.wait_for(task, LIMIT)


@pytest.fixture
def settings(broker: EmbeddedNats) -> Settings:
    return Settings(data_dir=broker.folder.path)


@pytest.fixture
async def relay(broker: EmbeddedNats, log: MemoryLog) -> AsyncIterator[Relay]:
    """Tells of two organisations in turn."""
    tell(log, 3)
    async with running(Relay(log, broker.url)) as relay:
        await caught_up(relay, log)
        yield relay


def tell(log: MemoryLog, count: int) -> None:
    for _ in range(count):
        for organisation in (OURS, THEIRS):
            log.commit(1, organisation=organisation, payload=f'"{organisation}"'.encode())


@asynccontextmanager
async def subscribed(facts: Facts, faults: list[str]) -> AsyncIterator[Client]:
    """A connection as the subscriber; what the server refuses is noted."""

    async def note(problem: Exception) -> None:
        faults.append(str(problem))

    url, who = f"nats://{facts['server']}", {name: facts[name] for name in ("user", "password")}
    connection = await nats.connect(url, allow_reconnect=False, max_reconnect_attempts=1, error_cb=note, **who)
    try:
        yield connection
    finally:
        await connection.close()


async def fetched(connection: Client, facts: Facts, count: int) -> list[Msg]:
    """The next messages, which are acknowledged."""
    bound = await connection.jetstream().pull_subscribe_bind(facts["consumer"], "ROLLBOOK")
    messages: list[Msg] = await bound.fetch(count, timeout=LIMIT)
    for message in messages:
        await message.ack_sync(timeout=LIMIT)
    return messages


async def test_its_own_events_are_there_live_and_from_the_beginning_and_it_goes_on_where_it_was(
    settings: Settings, relay: Relay, log: MemoryLog
) -> None:
    facts = await admit(settings, OURS.upper(), "billing", False)
    assert (facts["organisation"], facts["streams"]) == (OURS, ["ROLLBOOK"])
    faults: list[str] = []
    async with subscribed(facts, faults) as connection:
        live = await connection.subscribe(facts["subjects"][0])
        await connection.flush()
        assert {one.data for one in await fetched(connection, facts, 3)} == {b'"ac.me"'}
        tell(log, 1)
        assert (await live.next_msg(LIMIT)).data == b'"ac.me"'
    async with subscribed(facts, faults) as connection:
        (message,) = await fetched(connection, facts, 1)
    assert (message.headers or {})["rollbook-position"] == "7"
    assert faults == []


async def test_one_that_begins_now_is_not_told_of_before(settings: Settings, relay: Relay, log: MemoryLog) -> None:
    facts = await admit(settings, OURS, "billing", True)
    tell(log, 1)
    async with subscribed(facts, []) as connection:
        assert (await fetched(connection, facts, 1))[0].metadata.num_pending == 0


async def test_another_organisations_subjects_consumers_and_messages_are_refused(
    settings: Settings, relay: Relay, log: MemoryLog
) -> None:
    ours, theirs = await admit(settings, OURS, "billing", False), await admit(settings, THEIRS, "billing", False)
    faults: list[str] = []
    async with subscribed(ours, faults) as connection:
        for subject in (theirs["subjects"][0], "rollbook.>", ">", "$JS.>", "rollbook.*.deployment.scheduled"):
            await connection.subscribe(subject)
        await refused(connection, f"$JS.API.CONSUMER.MSG.NEXT.ROLLBOOK.{theirs['consumer']}")
        await refused(connection, "$JS.API.DIRECT.GET.ROLLBOOK", b'{"seq":2}')
        await refused(connection, "$JS.API.DIRECT.GET.ROLLBOOK.rollbook.ot%2Aer.deployment.scheduled")
    assert len(faults) == 8 and all("violation" in fault for fault in faults)


async def refused(connection: Client, subject: str, body: bytes = b"") -> None:
    with pytest.raises((nats.errors.TimeoutError, nats.errors.NoRespondersError)):
        await connection.request(subject, body, timeout=0.3)


async def test_it_can_publish_nothing_and_change_nothing(
    broker: EmbeddedNats, settings: Settings, relay: Relay, log: MemoryLog
) -> None:
    facts = await admit(settings, OURS, "billing", False)
    own = "rollbook.ac%2Eme.deployment.scheduled"
    async with subscribed(facts, []) as connection:
        js = connection.jetstream(timeout=0.3)
        tries: list[Callable[[], Awaitable[Any]]] = [
            lambda: js.publish(own, b"forged"),
            lambda: connection.publish("rollbook-jobs.high", b"forged"),
            lambda: js.purge_stream("ROLLBOOK"),
            lambda: js.delete_stream("ROLLBOOK"),
            lambda: js.delete_consumer("ROLLBOOK", facts["consumer"]),
            lambda: js.add_consumer("ROLLBOOK", ConsumerConfig(durable_name="mine", filter_subject=own)),
            lambda: js.stream_info("ROLLBOOK"),
        ]
        for one in tries:
            with suppress(nats.errors.Error):
                await one()
        # A place to answer to is not asked for permission: what is sent there must stay within its own account.
        for place in ("rollbook.ot%2Aer.deployment.scheduled", own, "cdevents.x.y", "$JS.API.STREAM.PURGE.ROLLBOOK"):
            await connection.publish(f"$JS.API.CONSUMER.MSG.NEXT.ROLLBOOK.{facts['consumer']}", b"1", reply=place)
        await connection.flush()
        assert len(await fetched(connection, facts, 1)) == 1
    async with anybody(broker.url) as owner:
        info = await owner.jetstream().stream_info("ROLLBOOK")
    assert (info.state.messages, info.state.last_seq, info.state.consumer_count) == (6, 6, 1)


async def test_nobody_gets_in_after_being_forgotten_or_with_a_former_password(settings: Settings, relay: Relay) -> None:
    first = await admit(settings, OURS, "billing", False)
    again = await admit(settings, OURS, "billing", False)
    await until_refused(first)
    async with subscribed(again, []):
        assert [one["name"] for one in known(settings)] == ["billing"]
    await dismiss(settings, OURS, "billing")
    await until_refused(again)
    assert known(settings) == []
    with pytest.raises(NotFound):
        await dismiss(settings, OURS, "billing")


async def until_refused(facts: Facts) -> None:
    async def gone() -> bool:
        try:
            async with subscribed(facts, []):
                return False
        except (nats.errors.Error, OSError):
            return True

    await eventually(gone)


async def test_its_password_is_kept_nowhere_and_what_is_kept_is_for_one_user_only(
    settings: Settings, relay: Relay
) -> None:
    facts = await admit(settings, OURS, "billing", False)
    files = [path for path in Path(settings.data_dir).rglob("*") if path.is_file()]
    assert all(facts["password"].encode() not in path.read_bytes() for path in files)
    for name in (FILE, "nats/nats.conf"):
        assert os.stat(settings.data_dir / name).st_mode & 0o077 == 0


async def test_names_that_could_stand_for_others_are_refused(settings: Settings) -> None:
    for name in ("", "a-b", "a.b", "*", '"', "x" * 33, "A"):
        with pytest.raises(Invalid):
            await admit(settings, OURS, name, False)
    with pytest.raises(Invalid):
        await admit(settings, "", "billing", False)


async def test_without_a_feed_or_a_server_it_says_so(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no stream"):
        await admit(settings, OURS, "billing", False)
    with pytest.raises(Unavailable, match="No Rollbook"):
        await admit(Settings(data_dir=tmp_path), OURS, "billing", False)


async def test_another_server_lets_it_in_by_the_lines_that_are_printed(
    server: Server, log: MemoryLog, tmp_path: Path
) -> None:
    tell(log, 2)
    async with running(Relay(log, server.url)) as relay:
        await caught_up(relay, log)
        settings = Settings(data_dir=tmp_path, nats_url=SecretStr(server.url))
        facts = await admit(settings, OURS, "billing", False)
    assert facts["exports"].startswith("exports: [") and facts["accounts"].startswith('"FEED_')
    assert facts["password"] not in facts["exports"] + facts["accounts"]


async def test_the_example_of_the_documents_reads_along(
    settings: Settings, relay: Relay, capsys: pytest.CaptureFixture[str]
) -> None:
    document = (Path(__file__).parents[2] / "docs" / "feed.md").read_text()
    (example,) = re.findall(r"```python\n(.+?)```", document, re.DOTALL)
    written: dict[str, Any] = {"__name__": "reading"}
    exec(compile(example, "docs/feed.md", "exec", dont_inherit=True), written)
    facts = await admit(settings, OURS, "billing", False)
    await written["read"](facts["server"], facts["user"], facts["password"], 2)
    assert capsys.readouterr().out.splitlines()[-2:] == [f'{n} deployment.scheduled "{OURS}"' for n in (1, 3)]


def test_the_documents_name_every_twin() -> None:
    document = (Path(__file__).parents[2] / "docs" / "feed.md").read_text()
    for kind in TYPES:
        assert kind in document or f".{kind.split('.')[3]}`" in document, kind
