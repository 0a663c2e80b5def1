"""The second axis of time: what was live at a moment, by what is known now or was believed at a position."""

from collections.abc import Sequence
from datetime import datetime

from adapters.postgres.valid_time import live_then
from entrypoints.http.reading import Reading
from projections.read_model import Row
from projections.registry import LIVE, LIVE_INTERVALS


async def live_at(past: Reading, moment: datetime, lanes: Sequence[str] | None = None) -> list[Row]:
    """What was live in each lane and environment at a moment: `deployment_id`, `lane_id`, `environment`, `version`,
    `trigger`, `number` and `since`.

    With `as_of` it is what was believed then. `lanes` are ids; None is all of them.
    """
    views, organisation = past.call.app.views, past.call.caller.organisation
    for model in (LIVE, LIVE_INTERVALS):
        await past.reach(model)
    found: list[Row] = await live_then(views, organisation, moment, past.position, lanes)
    return found
