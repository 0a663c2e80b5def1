"""Data packages of the fleet: what is in each environment, at every position of a history."""

from datetime import UTC, datetime
from typing import Any

from adapters.embedded.postgres import EmbeddedPostgres
from adapters.postgres.fleets import Fleets, Wanted
from projections.fleet import fleet_of
from projections.fleet_diff import apply, difference
from projections.registry import DATA_DEPLOYMENTS
from tests.kernel.acting import Acting
from tests.kernel.acts import OPENING
from tests.kernel.history import fresh_kernel
from tests.kernel.test_read_models import project

AT = datetime(2026, 1, 1, tzinfo=UTC)


async def test_packages_are_told_while_they_are_active_and_their_differences_lead_on(
    postgres: EmbeddedPostgres, template: str
) -> None:
    async with fresh_kernel(postgres, template) as (kernel, url):
        await Acting(kernel).live_through(OPENING)
        projected = await project(kernel, url, 1000)
        fleets, last = Fleets(projected.views), await fleet_end(projected.views)
        seen: list[Any] = []
        for position in range(1, last + 1):
            rows = (await projected.views.select("acme", DATA_DEPLOYMENTS, as_of=position)).rows
            now = fleet_of(await fleets.facts(Wanted("acme", {}), position, AT))
            told = {(one["deployment_id"], one["environment"], one["version"]) for one in now["packages"]}
            assert told == {(row["id"], row["environment"], row["version"]) for row in rows if row["is_active"]}
            seen.append(now)
        assert {len(one["packages"]) for one in seen} >= {0, 1}
        for first, second in zip(seen, reversed(seen), strict=True):
            assert apply(difference(first, second), first) == second


async def fleet_end(views: Any) -> int:
    """The organisation's last position."""
    return int(await Fleets(views).present("acme"))
