"""What is asked of the fleet, and what is answered: one moment of it, and what differs between two."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field

from domain.status import Trigger
from entrypoints.http.answers import HeldBack, Placed, ScopeObject
from entrypoints.http.fields import Lenient, OptionalText, Past, no_filter, or_empty
from entrypoints.http.queue_models import Provider


class FleetFilters(Lenient):
    """Filters, all of which must agree."""

    name: OptionalText = None
    provider: Annotated[Provider | None, BeforeValidator(no_filter), or_empty(Provider)] = None
    cloud_account_id: OptionalText = None
    region: OptionalText = None
    cell: OptionalText = None
    environment: OptionalText = None

    def of_lanes(self) -> dict[str, str | None]:
        """The members of a taxonomy that are asked for."""
        members = ("name", "provider", "cloud_account_id", "region", "cell")
        return {member: str(value) for member in members if (value := getattr(self, member)) is not None}


class AskFleet(FleetFilters):
    """The fleet, now or then: `as_of` is what was known, `valid_at` what was true of what was live."""

    as_of: Past | None = None
    valid_at: Past | None = None
    limit: int = Field(default=5000, ge=1, le=10_000)
    cursor: OptionalText = None


class AskDifference(FleetFilters):
    """Two moments, in either order; without `to` the second is now."""

    since: Past = Field(alias="from")
    to: Past | None = None
    limit: int = Field(default=2000, ge=1, le=9999)


class Queued(BaseModel):
    """A deployment that waits."""

    deployment_id: str
    version: str
    trigger: Trigger
    approved: bool
    since: datetime


class Standing(BaseModel):
    """How a lane stands in one environment; `frozen` names the freezes that cover it."""

    environment: str
    live: Placed | None
    in_progress: list[Placed]
    previous: list[Placed]
    waiting: list[Queued]
    waiting_count: int
    frozen: list[str]


class LaneNames(BaseModel):
    """Which lane."""

    id: str
    name: str
    provider: Provider
    cloud_account_id: str | None
    region: str | None
    cell: str | None
    created_position: int


class FleetLane(LaneNames):
    """A lane in all its environments."""

    held: HeldBack | None
    environments: list[Standing]


class FreezeInForce(BaseModel):
    """A freeze that nobody has lifted and whose time has not run out."""

    id: str
    scope: ScopeObject
    reason: str
    until: datetime | None
    by: str
    created_at: datetime


class LivePackage(BaseModel):
    """A data package that is in an environment."""

    deployment_id: str
    package: str
    version: str
    environment: str
    database_name: str | None
    deployed_at: datetime | None


class Point(BaseModel):
    """A position, and the moment that decides which freezes were over."""

    position: int
    at: datetime


class FleetObject(Point):
    """The whole fleet at one moment."""

    lanes: list[FleetLane]
    freezes: list[FreezeInForce]
    packages: list[LivePackage]


class HeldChange(BaseModel):
    """What was held back on each side."""

    before: HeldBack | None
    after: HeldBack | None


class StandingChange(BaseModel):
    """One environment on each side; null where the lane was not there."""

    environment: str
    before: Standing | None
    after: Standing | None


class SkippedDeployment(BaseModel):
    """A deployment that another one superseded."""

    deployment_id: str
    version: str
    environment: str


class Change(BaseModel):
    """Something that happened in a lane. `at` is when it happened, `recorded_at` when we learnt it."""

    position: int
    at: datetime
    recorded_at: datetime
    kind: str
    deployment_id: str | None
    version: str | None
    environment: str | None
    trigger: Trigger | None
    by_deployment: str | None
    skipped: list[SkippedDeployment]
    actor: str
    reason: str | None


class DifferingLane(LaneNames):
    """A lane that differs, or in which something happened: its newest changes, and how many there were."""

    held: HeldChange
    environments: list[StandingChange]
    changes: list[Change]
    changes_total: int
    more: str | None


class FreezeChange(BaseModel):
    """A freeze was declared, lifted, or its time ran out."""

    kind: str
    position: int | None
    at: datetime
    freeze_id: str
    scope: ScopeObject
    actor: str | None
    reason: str | None


class FreezeDifference(BaseModel):
    """Freezes in force on one side only, and what happened to freezes in between, newest first."""

    came: list[FreezeInForce]
    went: list[FreezeInForce]
    changes: list[FreezeChange]


class PackageDifference(BaseModel):
    """Packages that are there on one side only."""

    came: list[LivePackage]
    went: list[LivePackage]


class FleetDifference(BaseModel):
    """What differs. It is `complete` when no lane is left out; then applying it to the first fleet gives the second."""

    since: Point = Field(alias="from")
    to: Point
    backwards: bool
    complete: bool
    lanes_total: int
    lanes: list[DifferingLane]
    freezes: FreezeDifference
    packages: PackageDifference
