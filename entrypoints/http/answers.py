"""What Rollbook answers beyond the deployment queue's own objects: histories, lanes, leases, freezes, tokens."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from application.caller import Role
from domain.status import Trigger
from entrypoints.http.queue_models import DeploymentObject, Provider


class Run(BaseModel):
    """From which run of a pipeline something came, as far as that is known."""

    repository: str | None
    workflow: str | None
    run_id: str | None
    run_attempt: str | None
    sha: str | None
    ref: str | None


class Decided(BaseModel):
    """By which rule something was decided, and on what."""

    rule: str
    inputs: dict[str, Any]


class Cause(BaseModel):
    """Which request an event came of, as logs and traces know it."""

    correlation_id: str
    causation_id: str | None
    command_id: str
    traceparent: str | None


class Entry(BaseModel):
    """One event in words. `at` is when it happened, `recorded_at` when we learnt it."""

    position: int
    topic: str
    summary: str
    at: datetime
    recorded_at: datetime
    actor: str
    reason: str | None
    run: Run
    interface: str | None
    data: dict[str, Any]
    decision: Decided | None
    cause: Cause
    event_id: str
    hash: str
    schema_version: int
    commit_position: int


class History(BaseModel):
    """Everything that happened to a deployment, oldest first."""

    deployment_id: str
    entries: list[Entry]


class Placed(BaseModel):
    """A deployment in its lane, and since when it stands there."""

    deployment_id: str
    version: str
    environment: str
    trigger: Trigger
    since: datetime


class Waiting(BaseModel):
    """A deployment that waits in its lane."""

    id: str
    version: str
    environment: str
    trigger: Trigger
    created_at: datetime


class HeldBack(BaseModel):
    """After a rollback: automatic deployments of this version, or up to this number, wait."""

    version: str
    number: int
    deployment_id: str


class LaneObject(BaseModel):
    """What is live in a lane, what runs, what waits, what ran before, what is held back."""

    id: str
    organisation: str
    name: str
    provider: Provider
    cloud_account_id: str | None
    region: str | None
    cell: str | None
    live: Placed | None
    in_progress: list[Placed]
    previous: list[Placed]
    held: HeldBack | None
    waiting: list[Waiting] = []


class LeaseObject(BaseModel):
    """How long a claim lasts; `fence` names it."""

    fence: int
    expires_at: datetime


class ClaimedDeployment(DeploymentObject):
    """A deployment under a lease."""

    lease: LeaseObject


class ScopeObject(BaseModel):
    """What a freeze covers; null agrees with everything."""

    name: str | None
    provider: Provider | None
    cloud_account_id: str | None
    region: str | None
    cell: str | None
    environment: str | None


class FreezeObject(BaseModel):
    """A freeze, also after it was lifted."""

    id: str
    scope: ScopeObject
    reason: str
    until: datetime | None
    by: str
    created_at: datetime
    lifted_at: datetime | None
    lifted_by: str | None
    lift_reason: str | None


class TokenObject(BaseModel):
    """A token of Rollbook's own, without its secret."""

    id: str
    organisation: str
    name: str
    role: Role
    scope: list[str] | None
    expires_at: datetime | None
    created_at: datetime
    revoked_at: datetime | None


class IssuedToken(TokenObject):
    """A new token; `token` is its secret, which no repeat shows again."""

    token: str | None = None
