"""Lets an organisation's subscribers into the NATS feed, past the API: for whoever runs the machine."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import nats.errors

from adapters.embedded.running import running_nats_url
from adapters.embedded.subscribers import changing_subscribers, new_password, subscribers_of
from adapters.identity.names import is_name
from adapters.nats import subscribers
from adapters.nats.subscribers import Subscriber
from adapters.settings import Settings
from domain.errors import Invalid, NotFound, Unavailable

Facts = dict[str, Any]
ADMITTED_SECONDS = 10.0
LOOK_SECONDS = 0.2
TROUBLES = (nats.errors.Error, OSError, TimeoutError)


async def admit(settings: Settings, organisation: str, name: str, from_now: bool) -> Facts:
    """A subscriber and its password, which nobody can show again. Who is one already gets another password."""
    password, secret = new_password()
    subscriber = checked(organisation, name, secret)
    url = url_of(settings)
    streams = await make_consumers(url, subscriber, from_now)
    facts = {**described(subscriber), "streams": streams, "password": password, "server": address(url)}
    if settings.nats_url is not None:
        given = {"exports": subscribers.exports([subscriber]), "accounts": subscribers.accounts([subscriber])}
        return {**facts, **given}
    with changing_subscribers(settings.data_dir) as members:
        members[subscriber.organisation, subscriber.name] = subscriber
    await until_admitted(f"nats://{address(url)}", user=subscriber.user, password=password)
    return facts


async def dismiss(settings: Settings, organisation: str, name: str) -> Facts:
    """Lets nobody in by this name any more, and forgets how far it had come."""
    subscriber = checked(organisation, name, "")
    url = url_of(settings)
    if settings.nats_url is None:
        with changing_subscribers(settings.data_dir) as members:
            if members.pop((subscriber.organisation, name), None) is None:
                raise NotFound(f"{subscriber.organisation} has no subscriber {name}")
    try:
        await subscribers.drop_consumers(url, subscriber)
    except TROUBLES:
        raise unreachable(url) from None
    return described(subscriber)


def known(settings: Settings) -> list[Facts]:
    """Whom this machine's own server lets in."""
    return [described(one) for one in subscribers_of(settings.data_dir)]


def described(subscriber: Subscriber) -> Facts:
    """What a subscriber needs to know, but its password."""
    return {
        "organisation": subscriber.organisation,
        "name": subscriber.name,
        "user": subscriber.user,
        "consumer": subscriber.user,
        "subjects": subscribers.live(subscriber.organisation),
    }


def checked(organisation: str, name: str, secret: str) -> Subscriber:
    """The subscriber; Invalid when it cannot be called so."""
    if not is_name(organisation):
        raise Invalid("An organisation is 1 to 100 printable characters")
    if not subscribers.NAME.fullmatch(name):
        raise Invalid("A subscriber's name is 1 to 32 small letters, digits and underscores")
    return Subscriber(organisation.lower(), name, secret)


def url_of(settings: Settings) -> str:
    """The server that the settings name, else the one on DATA_DIR."""
    if settings.nats_url is not None:
        return settings.nats_url.get_secret_value()
    if url := running_nats_url(settings.data_dir):
        return url
    raise Unavailable(f"No Rollbook runs on {settings.data_dir}: start it, or set NATS_URL")


async def make_consumers(url: str, subscriber: Subscriber, from_now: bool) -> list[str]:
    """In which streams there are some; Unavailable, in one line, where nobody answers or there is no feed."""
    try:
        made = await subscribers.make_consumers(url, subscriber, from_now)
    except TROUBLES:
        raise unreachable(url) from None
    if not made:
        raise Unavailable("The feed has no stream there yet: let Rollbook start on it first")
    return made


async def until_admitted(url: str, **who: str) -> None:
    """Returns when the running server has heard of it."""
    try:
        async with asyncio.timeout(ADMITTED_SECONDS):
            while not await is_admitted(url, **who):
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        raise Unavailable("The subscriber is kept, but the server has not let it in yet") from None


async def is_admitted(url: str, **who: str) -> bool:
    """Whether it can connect."""
    try:
        async with subscribers.connected(url, **who):
            return True
    except TROUBLES:
        return False


def address(url: str) -> str:
    """Host and port of the first server, without anybody's password."""
    parts = urlsplit(url.split(",")[0])
    return f"{parts.hostname}:{parts.port or 4222}"


def unreachable(url: str) -> Unavailable:
    """Nobody answers, or refuses us."""
    return Unavailable(f"The NATS server at {address(url)} does not answer")
