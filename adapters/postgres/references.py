"""Finds the position that a reference to the past means."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg import sql

from adapters.postgres.changes import find_named, last_change
from adapters.postgres.pools import again_when_cut_off
from adapters.postgres.views import PostgresViews
from domain.errors import Invalid
from domain.reference import Ago, Changes, Moment, Named, Position, parse

# Nothing was recorded longer ago; and the time of Postgres has a beginning.
LONGEST_AGO = timedelta(days=365_000)
AT_MOMENT = sql.SQL("select rollbook.position_at(%s), rollbook.head(), %s::timestamptz > clock_timestamp()")
# Whoever appends meanwhile has read the clock already, and nobody can see yet what that is the moment of.
NOBODY_APPENDS = sql.SQL("select pg_advisory_xact_lock_shared(7240563)")
AT_POSITION = sql.SQL("select rollbook.head(), rollbook.commit_before(%s)")
NOW = sql.SQL("select clock_timestamp()")
BEGINNING = datetime.min.replace(tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC)
MomentAt = Callable[[int], Awaitable[datetime | None]]


@dataclass(frozen=True, slots=True)
class Resolved:
    """The position that a reference means, the moment where it says one, and what its name stands for."""

    position: int
    moment: datetime | None = None
    named: Named | None = None


class References:
    """What references mean to one organisation. `called` is what the caller gave one as, for refusals.

    `moment_at` tells when the last thing up to a position was recorded. One question at a time waits for whoever
    appends: else all connections could, and nobody else would be answered.
    """

    def __init__(self, views: PostgresViews, moment_at: MomentAt) -> None:
        self.views = views
        self.moment_at = moment_at
        self.turn = asyncio.Lock()

    async def resolve(self, organisation: str, text: str, called: str = "as_of") -> Resolved:
        """What a reference means now; Invalid when it is malformed, or nothing was there that it could mean."""
        reference = parse(text, called)
        named = None if reference.name is None else await self.named(organisation, reference.name, called)
        match reference.when:
            case Position(number):
                return Resolved(await self.whole_commit(organisation, number, called), None, named)
            case Changes(count):
                return Resolved(await self.before(organisation, named, count, called), None, named)
            case _:
                moment = await self.moment_of(organisation, reference.when)
                return Resolved(await self.recorded_by(organisation, moment, called), moment, named)

    async def moment(self, organisation: str, text: str, called: str = "valid_at") -> datetime:
        """The moment that a reference means. What was true may be older than the log."""
        when = parse(text, called).when
        if isinstance(when, Position | Changes):
            found = await self.resolve(organisation, text, called)
            return in_utc(await self.moment_at(found.position) or BEGINNING)
        moment = await self.moment_of(organisation, when)
        await self.position_then(organisation, moment, called)
        return moment

    async def moment_of(self, organisation: str, when: Moment | Ago) -> datetime:
        """The moment itself, or so long before now by the clock of the log."""
        if isinstance(when, Moment):
            return in_utc(when.at)
        now = (await self.views.fetch(organisation, NOW, []))[0][0]
        return in_utc(now - min(when.length, LONGEST_AGO))

    async def recorded_by(self, organisation: str, moment: datetime, called: str) -> int:
        """The last position that was there at a moment, for ever: what comes is recorded later."""
        position, head = await self.position_then(organisation, moment, called)
        if position == head:
            await again_when_cut_off(lambda: self.appended(organisation))
            position, head = await self.position_then(organisation, moment, called)
        if head and not position:
            raise Invalid(f"{called} is before the first event of this store")
        return position

    async def appended(self, organisation: str) -> None:
        """Waits for whoever appends."""
        async with self.turn:
            await self.views.fetch(organisation, NOBODY_APPENDS, [])

    async def position_then(self, organisation: str, moment: datetime, called: str) -> tuple[int, int]:
        """The last position at a moment, and the last of all; Invalid in the future."""
        position, head, future = (await self.views.fetch(organisation, AT_MOMENT, [moment, moment]))[0]
        if future:
            raise Invalid(f"{called} is in the future")
        return int(position), int(head)

    async def whole_commit(self, organisation: str, position: int, called: str) -> int:
        """The last position at or before this one at which a commit ends."""
        head, end = (await self.views.fetch(organisation, AT_POSITION, [position]))[0]
        if position > head:
            raise Invalid(f"{called} is a position that does not exist yet")
        return int(end)

    async def named(self, organisation: str, name: str, called: str) -> Named:
        """What the name stands for."""
        if found := await find_named(self.views, organisation, name):
            return found
        raise Invalid(f"{called} names neither an environment nor a component of this organisation")

    async def before(self, organisation: str, named: Named | None, count: int, called: str) -> int:
        """The position just before the last so many changes of what is live there; none ago is the present."""
        assert named is not None
        if not count:
            return int((await self.views.fetch(organisation, AT_POSITION, [0]))[0][0])
        if (changed := await last_change(self.views, organisation, named, count)) is None:
            raise Invalid(f"{called} goes back more changes than there were")
        return await self.whole_commit(organisation, changed - 1, called)


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC, as far as calendars go."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return BEGINNING if moment.year == BEGINNING.year else END
