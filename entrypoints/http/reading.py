"""What a caller reads: the read models of its organisation, as they are, as they were, or as far as they have come."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.postgres.conditions import Condition
from adapters.postgres.references import Resolved
from domain.recorded import RecordedEvent
from entrypoints.http.epochs import refuse_other_epoch
from entrypoints.http.headers import ALLOW_STALE, AS_OF, EPOCH, POSITION, PREFER, STALE, TOTAL_COUNT
from entrypoints.http.routing import Call
from projections.read_model import ReadModel, Row

TAKEN = (ALLOW_STALE, EPOCH)
SHOWN = (POSITION, AS_OF, STALE)
PAGED = (PREFER, ALLOW_STALE)
COUNTED = (*SHOWN, TOTAL_COUNT)


@dataclass(slots=True)
class Reading:
    """Reads for one request, and remembers which position it showed and how many rows were stale.

    `as_of` is the past position that was asked for. `patient` is whether to wait for what is not visible yet.
    """

    call: Call
    as_of: int | None
    patient: bool
    position: int = 0
    late: bool = False
    stale: int = 0
    total: int | None = None

    async def select(
        self,
        model: ReadModel,
        conditions: Sequence[Condition] = (),
        order: str = "created_position desc",
        limit: int | None = None,
        passed_over: int = 0,
    ) -> list[Row]:
        """The rows that meet all conditions; of the first `limit` so many are passed over."""
        organisation = self.call.caller.organisation
        page = await self.call.app.views.select(
            organisation, model, conditions, order, limit, self.as_of, self.patient, passed_over
        )
        self.position = page.position
        self.late = self.late or page.late
        self.stale += sum("stale_since" in row for row in page.rows)
        rows: list[Row] = page.rows
        return rows

    async def events(self, stream_id: str) -> list[RecordedEvent]:
        """The events of one stream up to the position that is shown."""
        app, organisation = self.call.app, self.call.caller.organisation
        await self.reach_log()
        events: list[RecordedEvent] = await app.store.history(organisation, stream_id)
        return [event for event in events if event.commit_position <= self.position]

    async def reach_log(self) -> int:
        """Shows the log itself, to the position that is asked for or to the organisation's last."""
        last = self.call.app.views.last
        self.position = await last(self.call.caller.organisation) if self.as_of is None else self.as_of
        return self.position

    async def reach(self, model: ReadModel) -> None:
        """Waits until a read model shows the position that is asked for, or the organisation's last."""
        views, organisation = self.call.app.views, self.call.caller.organisation
        if self.as_of is not None or self.patient:
            self.position = await views.visible(organisation, model, self.as_of)
        else:
            self.position, late = await views.shown(organisation, model)
            self.late = self.late or late

    async def page(self, model: ReadModel, conditions: Sequence[Condition], limit: int, offset: int) -> list[Row]:
        """A page of the newest rows; and how many there are, where `Prefer: count=exact` asks for that."""
        rows = await self.select(model, conditions, limit=limit + offset, passed_over=offset)
        if "count=exact" in self.call.headers.get("prefer", ""):
            self.total = await self.count(model, conditions)
        return rows

    async def count(self, model: ReadModel, conditions: Sequence[Condition]) -> int:
        """How many rows met all conditions at the position that was shown."""
        found: int = await self.call.app.views.count(self.call.caller.organisation, model, conditions, self.position)
        return found

    def headers(self) -> dict[str, str]:
        """Which position the answer shows, whether that is the past, and how many of its rows are stale."""
        told = {"x-rollbook-position": str(self.position)}
        if self.late or self.as_of is not None:
            told["x-rollbook-as-of"] = str(self.position if self.as_of is None else self.as_of)
        if self.total is not None:
            told["x-total-count"] = str(self.total)
        if self.stale:
            told["x-rollbook-stale"] = str(self.stale)
        return told


async def reading(call: Call, as_of: str | None = None) -> Reading:
    """How this caller wants to read."""
    refuse_other_epoch(call, positioned=as_of is not None)
    position = None if as_of is None else await resolve(call, as_of)
    return Reading(call, position, patient=call.headers.get("x-rollbook-allow-stale") != "1")


async def resolve(call: Call, text: str, called: str = "as_of") -> int:
    """The position that a reference means to the caller's organisation; Invalid when it means none."""
    return (await resolve_reference(call, text, called)).position


async def resolve_reference(call: Call, text: str, called: str = "as_of") -> Resolved:
    """The same, with the moment that the reference says and what its name stands for, if it has any."""
    found: Resolved = await call.app.references.resolve(call.caller.organisation, text, called)
    return found


async def resolve_moment(call: Call, text: str, called: str = "valid_at") -> datetime:
    """The moment that a reference means, for asking what was true then."""
    moment: datetime = await call.app.references.moment(call.caller.organisation, text, called)
    return moment
