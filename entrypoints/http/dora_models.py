"""What is asked and answered about the DORA figures."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from entrypoints.http.fields import Lenient, OptionalText, Past
from projections.periods import Interval

Zone = Annotated[str, StringConstraints(max_length=64, pattern=r"^[A-Za-z0-9_+\-/]+$")]
Seconds = float | None


class AskDora(Lenient):
    """Which deployments, when, and divided how. Without `to` until now, or until `as_of`; without `from` 30 days."""

    component: OptionalText = None
    environment: OptionalText = None
    team: OptionalText = None
    begin: Past | None = Field(default=None, alias="from")
    to: Past | None = None
    interval: Interval = Interval.DAY
    time_zone: Zone = "UTC"
    as_of: Past | None = None


class Frequency(BaseModel):
    """Deployments that went live, per day; `band` is DORA's of 2024, null where nothing went live."""

    deployments: int
    days: float
    per_day: float
    band: str | None


class LeadTime(BaseModel):
    """From commit to live, of all that is no rollback; what has no commit time, or a later one, is not measured."""

    changes: int
    measured: int
    without_commit_time: int
    committed_later: int
    median_seconds: Seconds
    p90_seconds: Seconds


class FailureRate(BaseModel):
    """Deployments that were taken back after they went live, or caused an incident, or both; over all."""

    failed: int
    deployments: int
    rate: float | None
    taken_back: int
    caused_incident: int


class Restoring(BaseModel):
    """How long incidents that began then lasted; those that are open have no length yet."""

    incidents: int
    resolved: int
    open: int
    median_seconds: Seconds
    p90_seconds: Seconds


class ReworkRate(BaseModel):
    """Deployments that an incident or a failed deployment made necessary; over all."""

    rework: int
    deployments: int
    rate: float | None


class FiguresObject(BaseModel):
    """The figures, with what they are made of; a rate or a duration of nothing is null."""

    deployment_frequency: Frequency
    lead_time: LeadTime
    change_failure_rate: FailureRate
    time_to_restore: Restoring
    failed_deployment_recovery_time: Restoring
    rework_rate: ReworkRate


class PartObject(FiguresObject):
    """The figures of a part of the period, from a moment up to, not including, another."""

    model_config = ConfigDict(populate_by_name=True)
    begin: datetime = Field(alias="from")
    to: datetime


class DoraObject(BaseModel):
    """The figures of a period, and of each of its parts."""

    model_config = ConfigDict(populate_by_name=True)
    component: str | None
    environment: str | None
    team: str | None
    begin: datetime = Field(alias="from")
    to: datetime
    interval: Interval
    time_zone: str
    totals: FiguresObject
    series: list[PartObject]
