"""What is asked of the audit, and what it answers."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from entrypoints.http.fields import Lenient, OptionalText, Past

Filter = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class AuditFilters(Lenient):
    """Filters, all of which must agree. `actor` is a login or a pseudonym, `topic` a kind of event or all of a thing's
    (`deployment`), `lane` a lane's id or name, `stream` one thing's own events, `text` stands in payload or words."""

    actor: Filter | None = None
    topic: Filter | None = None
    lane: Filter | None = None
    environment: Filter | None = None
    stream: Filter | None = None
    text: Filter | None = None


class ExportFilters(AuditFilters):
    """The same, and no others: a filter that nobody knows would let out more than was meant."""

    model_config = ConfigDict(extra="forbid")


class SearchEvents(AuditFilters):
    """What is searched: behind `from` up to `to`, each a reference; the newest first, unless said otherwise. Nothing
    beyond `as_of` is found."""

    as_of: Past | None = None
    since: Past = Field(default="0", alias="from")
    to: Past | None = None
    order: Literal["newest", "oldest"] = "newest"
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: OptionalText = None


class ExportBody(Lenient):
    """What is taken out: behind `from` up to `to`, each a reference; as far as the log goes, where it is left out."""

    since: Past = Field(default="0", alias="from")
    to: Past | None = None
    filters: ExportFilters = ExportFilters()


class ReadExport(Lenient):
    """Where to go on: behind this position."""

    after: int = Field(default=0, ge=0, lt=2**63)


class ListExports(Lenient):
    """A page of the newest."""

    as_of: Past | None = None
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: OptionalText = None


class ListCheckpoints(Lenient):
    """What was sealed behind this number, or the `latest` of all; as of a position what was sealed by then."""

    as_of: Past | None = None
    after: int = Field(default=0, ge=0, lt=2**63)
    limit: int = Field(default=100, ge=1, le=1000)
    latest: bool = False


class Who(BaseModel):
    """Who acted: a pseudonym, and the login behind it, `erased` when nobody can tell any more."""

    id: str
    login: str


class AuditedEvent(BaseModel):
    """An event of the log, in words and as it is stored."""

    position: int
    commit_position: int
    event_id: str
    stream_id: str
    version: int
    topic: str
    schema_version: int
    organisation: str
    sequence: int
    recorded_at: datetime
    occurred_at: datetime
    actor: Who
    summary: str
    envelope: dict[str, Any]
    payload: dict[str, Any]
    previous_hash: str
    hash: str


class AuditedEvents(BaseModel):
    """A page; with a `cursor` there may be more, also where this page has none."""

    events: list[AuditedEvent]
    cursor: str | None


class SealedHead(BaseModel):
    """The end of the organisation's chain as it was sealed, and the way from there to the checkpoint's root."""

    leaf: str
    path: list[str]


class CheckpointObject(BaseModel):
    """A checkpoint as `rollbook-verify` reads it: what was signed, word for word."""

    checkpoint: str
    signature: str
    key: str
    heads: list[SealedHead]


class Checkpoints(BaseModel):
    """A page of checkpoints; `after` is where the next page begins, null when there is none."""

    checkpoints: list[CheckpointObject]
    after: int | None


class ExportObject(BaseModel):
    """An export: who takes out which part of the log."""

    id: str
    kind: str
    from_position: int
    to_position: int
    filters: dict[str, Any]
    requested_by: str
    created_at: datetime
