"""Who may read the feed over NATS: each subscriber has an account's user, and sees its organisation's subjects only.

A subscriber lives in an account of its organisation, into which nothing comes but what is exported to it. Were it a
user with permissions in the account of the streams, it could have messages delivered to any subject there, as nobody is
asked for permission to be answered somewhere.
"""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from typing import Any

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from adapters.nats.cdevents import ROOT as TWINS
from adapters.nats.subjects import ROOT, token

ACCOUNT = "ROLLBOOK"
STREAMS = {"ROLLBOOK": ROOT, "CDEVENTS": TWINS}
NAME = re.compile(r"[a-z0-9_]{1,32}")
CONNECT_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One reader. `secret` is the bcrypt hash of its password; the password itself is kept nowhere."""

    organisation: str
    name: str
    secret: str

    @property
    def user(self) -> str:
        """Its user name, and the name of its consumers: no other subscriber has it, as no name holds a hyphen."""
        return f"{token(self.organisation)}-{self.name}"

    @property
    def account(self) -> str:
        """The account of its organisation."""
        return account_of(self.organisation)


def account_of(organisation: str) -> str:
    """A name that no other organisation's account has, whatever theirs are."""
    return f"FEED_{sha256(organisation.encode()).hexdigest()[:32]}"


def live(organisation: str) -> list[str]:
    """What its subscribers may listen to."""
    return [f"{root}.{token(organisation)}.>" for root in STREAMS.values()]


def asked(subscriber: Subscriber) -> list[str]:
    """What it may ask its own consumers, and nobody else's."""
    user = subscriber.user
    nexts = [f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{user}" for stream in STREAMS]
    return nexts + [f"$JS.ACK.{stream}.{user}.>" for stream in STREAMS]


def newest(organisation: str) -> list[str]:
    """How its subscribers ask for the last message of a subject."""
    return [f"$JS.API.DIRECT.GET.{stream}.{root}.{token(organisation)}.>" for stream, root in STREAMS.items()]


def exports(subscribers: Iterable[Subscriber]) -> str:
    """What the account with the streams gives to those of the organisations."""
    lines = []
    for organisation, members in by_organisation(subscribers):
        to = f'accounts: ["{account_of(organisation)}"]'
        lines += [f'{{ stream: "{subject}", {to} }}' for subject in live(organisation)]
        lines += [f'{{ service: "{ask}", {to} }}' for ask in newest(organisation)]
        lines += [f'{{ service: "{ask}", response_type: stream, {to} }}' for one in members for ask in asked(one)]
    return block("exports: [", lines, "]")


def accounts(subscribers: Iterable[Subscriber], giver: str = ACCOUNT) -> str:
    """The accounts of the organisations, with their users; `giver` is the account with the streams."""
    found = []
    for organisation, members in by_organisation(subscribers):
        streams = [f'{{ stream: {{ account: "{giver}", subject: "{subject}" }} }}' for subject in live(organisation)]
        asks = [*newest(organisation), *(ask for one in members for ask in asked(one))]
        services = [f'{{ service: {{ account: "{giver}", subject: "{ask}" }} }}' for ask in asks]
        users = block("users: [", [user_of(one) for one in members], "]")
        found.append(
            block(f'"{account_of(organisation)}": {{', [users, block("imports: [", streams + services, "]")], "}")
        )
    return "\n".join(found)


def user_of(subscriber: Subscriber) -> str:
    """Listens to its organisation and asks its consumers; everything else is refused."""
    may_ask = ", ".join(f'"{ask}"' for ask in [*asked(subscriber), *newest(subscriber.organisation)])
    may_hear = ", ".join(f'"{subject}"' for subject in [*live(subscriber.organisation), "_INBOX.>"])
    return (
        f'{{ user: "{subscriber.user}", password: "{subscriber.secret}", permissions: {{ '
        f"publish: {{ allow: [{may_ask}] }}, subscribe: {{ allow: [{may_hear}] }} }} }}"
    )


def block(first: str, lines: Iterable[str], last: str) -> str:
    """Lines between two, further in."""
    inner = [f"  {line}" for text in lines for line in text.splitlines()]
    return "\n".join([first, *inner, last])


def by_organisation(subscribers: Iterable[Subscriber]) -> list[tuple[str, list[Subscriber]]]:
    """The subscribers of each organisation."""
    ordered = sorted(subscribers, key=lambda one: (one.organisation, one.name))
    return [(name, list(members)) for name, members in groupby(ordered, lambda one: one.organisation)]


async def make_consumers(url: str, subscriber: Subscriber, from_now: bool) -> list[str]:
    """Makes its durable consumers, as subscribers may not: from the first event on, or from now. Those that are there
    keep their place. Answers in which streams; of those that are not there, in none. Raises nats.errors.Error."""
    made = []
    async with connected(url) as client:
        jetstream = client.jetstream(timeout=CONNECT_SECONDS)
        for stream, root in STREAMS.items():
            with suppress(NotFoundError):
                await make_consumer(jetstream, stream, consumer(subscriber, root, from_now))
                made.append(stream)
    return made


async def make_consumer(jetstream: JetStreamContext, stream: str, wanted: ConsumerConfig) -> None:
    """Makes one unless it is there; NotFoundError when its stream is not."""
    try:
        await jetstream.consumer_info(stream, wanted.durable_name or "")
    except NotFoundError:
        await jetstream.add_consumer(stream, wanted)


async def drop_consumers(url: str, subscriber: Subscriber) -> None:
    """Forgets how far it has come."""
    async with connected(url) as client:
        for stream in STREAMS:
            with suppress(NotFoundError):
                await client.jetstream(timeout=CONNECT_SECONDS).delete_consumer(stream, subscriber.user)


def consumer(subscriber: Subscriber, root: str, from_now: bool) -> ConsumerConfig:
    """A place in one stream, among the organisation's own messages."""
    return ConsumerConfig(
        durable_name=subscriber.user,
        filter_subject=f"{root}.{token(subscriber.organisation)}.>",
        ack_policy=AckPolicy.EXPLICIT,
        deliver_policy=DeliverPolicy.NEW if from_now else DeliverPolicy.ALL,
    )


@asynccontextmanager
async def connected(url: str, **who: str) -> AsyncIterator[Client]:
    """A connection that is not tried again by itself; as `user` with `password`, else as whom the address names."""
    once: dict[str, Any] = {"allow_reconnect": False, "max_reconnect_attempts": 1, "reconnect_time_wait": 0.02, **who}
    client = await nats.connect(url.split(","), connect_timeout=CONNECT_SECONDS, error_cb=unheard, **once)
    try:
        yield client
    finally:
        await client.close()


async def unheard(problem: Exception) -> None:
    """Whoever asks is told by what they await."""
