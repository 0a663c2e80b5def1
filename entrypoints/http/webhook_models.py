"""What is sent and answered about webhooks."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from adapters.webhooks.addresses import LONGEST_URL
from entrypoints.http.fields import Past, no_filter, or_nothing

MOST = 100
Title = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Url = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_URL)]
Why = Annotated[str, StringConstraints(max_length=1000)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Words = Annotated[list[Word], Field(max_length=MOST)]
Status = Literal["active", "paused", "removed"]
State = Literal["waiting", "delivered", "dead"]


class Strict(BaseModel):
    """A member that is not known is a mistake: a filter that is misspelt would let everything through."""

    model_config = ConfigDict(extra="forbid")


class WebhookFilters(Strict):
    """Which events are told; those of one kind are alternatives, all kinds have to agree. Without any, everything is.

    `topics` may be patterns such as `deployment.*`; `lanes` are ids of lanes, `names` those of components.
    """

    topics: Words = []
    aggregates: Words = []
    environments: Words = []
    names: Words = []
    lanes: Words = []


class WebhookBody(Strict):
    """A webhook to add. `url` is kept sealed; only its host is ever shown."""

    name: Title
    url: Url
    filters: WebhookFilters = WebhookFilters()


class WebhookChanges(Strict):
    """What is to change; the rest stays."""

    name: Title | None = None
    url: Url | None = None
    filters: WebhookFilters | None = None


class PauseBody(Strict):
    """Why nothing is to be delivered for a while."""

    reason: Why | None = None


class ReplayBody(Strict):
    """What is to be sent once more: all that was given up, or everything beyond a point in time, such as `-2h`."""

    state: Literal["dead"] | None = None
    after: Annotated[str, StringConstraints(min_length=1, max_length=300)] | None = None


class ListWebhooks(BaseModel):
    """Which webhooks; those that were removed only by that status."""

    status: Annotated[Status | None, BeforeValidator(no_filter), or_nothing(enum=["active", "paused", "removed"])] = (
        None
    )
    as_of: Past | None = None


class ListDeliveries(BaseModel):
    """Which deliveries; `before` is the position behind which a page ends. Those of the past are kept for days."""

    state: Annotated[State | None, BeforeValidator(no_filter), or_nothing(enum=["waiting", "delivered", "dead"])] = None
    before: Annotated[int | None, Field(ge=0, le=2**63 - 1)] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    as_of: Past | None = None


class WebhookObject(BaseModel):
    """A webhook, without its address and its secret."""

    id: str
    organisation: str
    name: str
    host: str
    filters: dict[str, list[str]]
    status: Status
    paused_reason: str | None
    paused_rule: str | None
    paused_at: datetime | None
    created_by: str
    created_at: datetime
    updated_at: datetime
    secret_rotated_at: datetime | None
    removed_at: datetime | None
    version_number: int


class SecretWebhook(WebhookObject):
    """A webhook with its new secret, which is shown this once; a repeated request does not show it again."""

    secret: str | None = None


class DeliveryObject(BaseModel):
    """What has become of one event for one webhook; `status` and `problem` are those of the last try."""

    id: str
    event_id: str
    topic: str
    position: int
    state: State
    attempts: int
    due_at: datetime
    queued_at: datetime
    tried_at: datetime | None
    status: int | None
    problem: str | None


class Replayed(BaseModel):
    """How many deliveries are due again; None when that is found out while the log is followed once more."""

    deliveries: int | None
    after: int | None


class PingObject(BaseModel):
    """What a receiver said to a ping: its status, or why there was none."""

    ok: bool
    status: int | None
    problem: str | None
    milliseconds: int
