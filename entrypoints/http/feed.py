"""The feed: all that an organisation records, from any position on, as server-sent events or over a WebSocket."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from time import monotonic

import structlog

from adapters.feed.subscription import Subscription
from adapters.feed.telling import Piece
from adapters.feed.wanted import Wanted
from adapters.metrics import FEED_DROPPED
from application.authorisation import authorise, may
from domain.errors import Forbidden, Gone, Invalid, RateLimited, RollbookError, Unauthenticated, Unavailable
from entrypoints.http.commands import authenticated
from entrypoints.http.epochs import marked, refuse_other_epoch, unmarked
from entrypoints.http.errors import problem_details
from entrypoints.http.feed_models import PLACE, FollowFeed, SentEvent, Wishes
from entrypoints.http.headers import EPOCH, LAST_EVENT_ID, POSITION
from entrypoints.http.package_answers import may_read_rows
from entrypoints.http.reading import resolve
from entrypoints.http.routing import Answer, Call, Closing, Interface, Messages, Patience

log = structlog.get_logger()
feed = Interface("feed", "/v1/events", problem_details)
STREAM = "text/event-stream"
RETRY_MS, RETRY_ELSEWHERE_MS = 2000, 100
LOOK_AGAIN_SECONDS = 60.0
RESTART, TOO_SLOW, NOT_ALLOWED, DONE = 1012, 1013, 1008, 1000
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class EpochOver(Gone):
    """The position is of a log that was replaced by a backup."""

    code = "EPOCH_OVER"


@dataclass(slots=True)
class Reader:
    """One subscriber on its way. `taken` is the position up to which everything was handed over."""

    call: Call
    subscription: Subscription
    taken: int
    looked: float = field(default_factory=monotonic)
    why: str = ""

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """What the subscriber gets; `why` says afterwards why there is no more."""
        try:
            async with aclosing(self.subscription.pieces()) as pieces:
                async for piece in pieces:
                    if monotonic() > self.looked + LOOK_AGAIN_SECONDS:
                        await self.look_again()
                    yield piece
                    self.taken = piece.until
        except (Unauthenticated, Forbidden):
            self.why = "no longer allowed"
        except RollbookError as problem:
            self.why = problem.message
        self.why = self.why or {"": "the end", "drain": "this process ends"}.get(self.subscription.ended, "start over")

    async def look_again(self) -> None:
        """Who may no longer read is let go: once a minute the door is asked again."""
        self.looked = monotonic()
        try:
            caller = await authenticated(self.call)
        except (RateLimited, Unavailable):
            return
        authorise(caller, "feed.read")
        if (caller.organisation, caller.role) != (self.call.caller.organisation, self.call.caller.role):
            raise Forbidden("The caller is another one by now")

    @property
    def place(self) -> str:
        """Where to go on, as a Last-Event-ID."""
        return marked(self.call, str(self.taken))


@feed.get(
    "/v1/events",
    action="feed.read",
    answer=SentEvent,
    media_type=STREAM,
    raises=(Gone,),
    takes=(LAST_EVENT_ID, EPOCH),
    gives=(POSITION,),
)
async def follow_feed(call: Call, query: FollowFeed) -> Answer:
    """Follow the organisation's events, from any position on, as server-sent events.

    `id` is the position, `event` the topic, `data` one line of JSON. Who comes back with the last id misses nothing
    and gets nothing twice. The same over a WebSocket, one JSON text an event: /v1/events/ws.
    """
    reader = await reader_of(call, query, call.headers.get("last-event-id", ""), await goal_of(call, query))
    patience = Patience(call.app.settings.feed_stall_seconds, lambda: last_word(reader, too_slow()))
    headers = {**HEADERS, "x-rollbook-position": str(reader.taken)}
    return Answer(media_type=STREAM, headers=headers, chunks=sent(reader), patience=patience)


@feed.socket("/v1/events/ws", action="feed.read")
async def talk_feed(call: Call, query: Wishes) -> Messages:
    """The same over a WebSocket."""
    reader = await reader_of(call, query, "")
    seconds = call.app.settings.feed_stall_seconds
    return Messages(texts(reader), seconds, lambda: Closing(TOO_SLOW, f"{too_slow()}; resume from={reader.place}"))


async def reader_of(call: Call, query: Wishes, last_event_id: str, goal: int | None = None) -> Reader:
    """Who reads, from where on; refused before anything is sent."""
    refuse_other_epoch(call, positioned=False)
    call.app.feed.refuse_more(call.caller.organisation)
    start = await start_of(call, last_event_id or query.since, "Last-Event-ID" if last_event_id else "from")
    subscription = Subscription(call.app.feed, call.caller.organisation, wanted_of(call, query), start, goal)
    return Reader(call, subscription, start)


def wanted_of(call: Call, query: Wishes) -> Wanted:
    """What is wanted, as far as the caller may see it."""
    return Wanted(
        topics=tuple(query.topic),
        aggregates=tuple(query.aggregate),
        lane=query.lane.removeprefix("lane-") if query.lane else None,
        environment=query.environment,
        name=query.name,
        rows=may_read_rows(call),
        tokens=may(call.caller, "token.read"),
    )


async def start_of(call: Call, text: str | None, called: str) -> int:
    """The position after which events are wanted."""
    head: int = await call.app.log.head()
    if text is None:
        return head
    if not PLACE.fullmatch(text):
        return await resolve(call, text, called)
    return place_of(call, text, called, head)


def place_of(call: Call, text: str, called: str, head: int) -> int:
    """A position as the feed tells it, which says of which epoch it is unless that is the first."""
    if text == "0":
        return 0
    epoch = call.headers.get("x-rollbook-epoch")
    plain = unmarked(call, text) if epoch in (None, str(call.app.identity[1])) else None
    if plain is None:
        now = marked(call, str(head))
        raise EpochOver(f"{called} is of another epoch of the store: go on from 0, or from {now}", now=now)
    if int(plain) > head:
        raise Invalid(f"{called} is a position that does not exist yet")
    return int(plain)


async def goal_of(call: Call, query: FollowFeed) -> int | None:
    """Where it ends; None for never."""
    if query.to is not None:
        return await start_of(call, query.to, "to")
    return None if query.follow else await start_of(call, None, "")


async def sent(reader: Reader) -> AsyncGenerator[bytes, None]:
    """The stream; what was left out moves the reader's position too."""
    yield b"retry: %d\n: the feed from %d on\nid: %s\n\n" % (RETRY_MS, reader.taken, reader.place.encode())
    async with aclosing(reader.pieces()) as pieces:
        async for piece in pieces:
            yield piece.sent or b": nothing new\nid: %s\n\n" % marked(reader.call, str(piece.until)).encode()
    yield last_word(reader, reader.why)


def too_slow() -> str:
    """What somebody is told who takes nothing; they are counted."""
    FEED_DROPPED.inc()
    return "too slow"


def last_word(reader: Reader, why: str) -> bytes:
    """Why the stream ends, and where to go on."""
    place = reader.place.encode()
    return b"retry: %d\n: %s; resume after %s\nid: %s\n\n" % (RETRY_ELSEWHERE_MS, why.encode(), place, place)


async def texts(reader: Reader) -> AsyncGenerator[list[str] | Closing, None]:
    """One text an event; of silence how far the feed has come."""
    epoch = reader.call.app.identity[1]
    async with aclosing(reader.pieces()) as pieces:
        async for piece in pieces:
            silence = f'{{"position":{piece.until},"epoch":{epoch}}}'
            yield [one.line.decode() for one in piece.told] or [silence]
    ended = reader.subscription.ended
    code = NOT_ALLOWED if reader.why == "no longer allowed" else RESTART if ended else DONE
    yield Closing(code, f"{reader.why}; resume from={reader.place}"[:120])
