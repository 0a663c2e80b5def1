"""`rollbook events`: what is printed and what is published is the feed, each event once."""

import asyncio
import json
from typing import Any

import nats
import pytest

from adapters.embedded.nats import EmbeddedNats
from tests.cli.stand_in import Ended, rollbook
from tests.conftest import Running
from tests.feed.cutting import cutting
from tests.feed.subscriber import deploy, everything, move
from tests.sharing import own_organisation

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def run(url: str, organisation: str, *arguments: str, **more: str) -> Ended:
    """Runs a command against a server."""
    return await asyncio.to_thread(rollbook, "events", *arguments, API_URL=url, ORG=organisation, **more)


def printed(ended: Ended) -> list[dict[str, Any]]:
    """The events on the lines of the output."""
    assert ended.code == 0, ended.err
    return [json.loads(line) for line in ended.out.splitlines()]


async def test_tail_prints_the_feed(quiet: Running) -> None:
    acme = own_organisation()
    for number in range(3):
        await deploy(quiet.client, acme, version=str(number))
    told = await everything(quiet.client, acme, topic="deployment.*")
    wanted = ("tail", "--from", "0", "--topic", "deployment.*", "--no-follow")
    assert printed(await run(quiet.url, acme, *wanted, "--json")) == told
    for line, one in zip((await run(quiet.url, acme, *wanted)).out.splitlines(), told, strict=True):
        about = ["shop/production", one["payload"]["release"]["version"]]
        assert line.split()[0] == str(one["position"])
        assert line.split()[2:] == [one["topic"], *about, one["stream"]]


async def test_tail_says_what_each_event_is_about_though_it_does_not_say_so_itself(quiet: Running) -> None:
    acme = own_organisation()
    made = await deploy(quiet.client, acme, version="7", environment="staging")
    await move(quiet.client, acme, made, "deployed")
    scope = {"scope": {"name": "till", "environment": "production"}, "reason": "x"}
    await quiet.client.post("/v1/freezes", json=scope, headers={"X-Organisation": acme})
    topics = ("deployment.deployed", "lane.deployment_moved", "lane.opened", "freezes.declared")
    wanted = [word for topic in topics for word in ("--topic", topic)]
    ended = await run(quiet.url, acme, "tail", "--from", "0", "--no-follow", *wanted)
    told = [line.split()[2:-1] for line in ended.out.splitlines()]
    assert told == [
        ["lane.opened", "shop"],
        ["lane.deployment_moved", "shop/staging", "7"],
        ["deployment.deployed", "shop/staging", "7"],
        ["lane.deployment_moved", "shop/staging", "7"],
        ["freezes.declared", "till/production"],
    ]


async def test_tail_goes_on_where_it_was_cut_off(quiet: Running) -> None:
    acme = own_organisation()
    for number in range(5):
        await deploy(quiet.client, acme, version=str(number))
    async with cutting(quiet.url, 5000) as way:
        told = printed(await run(way.url, acme, "tail", "--from", "0", "--no-follow", "--json"))
    assert told == await everything(quiet.client, acme)
    assert way.cuts > 1


async def test_tail_says_what_makes_no_sense(quiet: Running) -> None:
    ended = await run(quiet.url, own_organisation(), "tail", "--from", "999999999999")
    assert ended.code == 1 and "does not exist yet" in ended.err


async def test_replay_publishes_the_past_as_cloud_events_and_a_repeat_does_no_harm(
    quiet: Running, nats_server: EmbeddedNats
) -> None:
    acme = own_organisation()
    for number in range(3):
        await deploy(quiet.client, acme, version=str(number))
    told = await everything(quiet.client, acme)
    client = await nats.connect(nats_server.url)
    try:
        stream = client.jetstream()
        await stream.add_stream(name=f"COPY-{acme}", subjects=[f"copy.{acme}"])
        wanted = ("replay", "--from", "0", "--to-subject", f"copy.{acme}", "--json")
        for known in (0, len(told)):
            ended = await run(quiet.url, acme, *wanted, NATS_URL=nats_server.url)
            assert ended.code == 0, ended.err
            assert json.loads(ended.out)["published"] == len(told)
            assert json.loads(ended.out)["known_already"] == known
        assert (await stream.stream_info(f"COPY-{acme}")).state.messages == len(told)
        for number, one in enumerate(told, 1):
            message = await stream.get_msg(f"COPY-{acme}", number)
            assert message.headers is not None
            assert message.headers["ce-id"] == message.headers["Nats-Msg-Id"] == one["event_id"]
            assert message.headers["ce-type"] == f"rollbook.{one['topic']}"
            assert message.headers["rollbook-hash"] == one["hash"]
            assert json.loads(message.data or b"") == one["payload"]
        await stream.delete_stream(f"COPY-{acme}")
    finally:
        await client.close()


async def test_replay_goes_on_from_the_place_that_it_tells(quiet: Running, nats_server: EmbeddedNats) -> None:
    acme = own_organisation()
    await deploy(quiet.client, acme)
    client = await nats.connect(nats_server.url)
    try:
        await client.jetstream().add_stream(name=f"COPY-{acme}", subjects=[f"copy.{acme}"])
        place, count = "0", 0
        for number in range(2):
            wanted = ("replay", "--from", place, "--to-subject", f"copy.{acme}", "--json")
            told = json.loads((await run(quiet.url, acme, *wanted, NATS_URL=nats_server.url)).out)
            place, count = told["place"], count + told["published"]
            await deploy(quiet.client, acme, version=f"2.{number}")
        assert count == len(await everything(quiet.client, acme, to=place))
        await client.jetstream().delete_stream(f"COPY-{acme}")
    finally:
        await client.close()


@pytest.mark.parametrize(
    "subject",
    ["rollbook.acme.deployment", "Rollbook", "rollbook-jobs.x", "cdevents.acme.service", "a.*", "a b", "$JS.x"],
)
async def test_replay_refuses_subjects_that_are_not_the_users_own(quiet: Running, subject: str) -> None:
    ended = await run(quiet.url, "acme", "replay", "--from", "0", "--to-subject", subject)
    assert (ended.code == 2 and "--to-subject" in ended.err) or "own" in ended.err


async def test_replay_says_that_no_stream_takes_it(quiet: Running, nats_server: EmbeddedNats) -> None:
    acme = own_organisation()
    await deploy(quiet.client, acme)
    wanted = ("replay", "--from", "0", "--to-subject", "nobody.takes.this")
    ended = await run(quiet.url, acme, *wanted, NATS_URL=nats_server.url)
    assert ended.code == 1 and "No stream" in ended.err and "--from 0" in ended.err
