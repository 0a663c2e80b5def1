"""What is sent and answered about environments."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints

from domain.dataset import DatabaseKind
from domain.environment import NAME
from entrypoints.http.fields import AsOf, Lenient, no_filter, or_empty

Reference = Annotated[str, StringConstraints(max_length=300)]


class Origin(StrEnum):
    """Who says what an environment is: the operator's file, or the organisation through this API."""

    FILE = "file"
    API = "api"


class ListEnvironments(AsOf):
    """Filters, and where in the list to begin."""

    kind: Annotated[DatabaseKind | None, BeforeValidator(no_filter), or_empty(DatabaseKind)] = None
    limit: int = Field(default=50, ge=0, le=1000)
    offset: int = Field(default=0, ge=0, le=10_000_000)


class ChangeBody(Lenient):
    """Where the secrets of an environment are found. `dsn` is a reference such as `file:NAME`, never a DSN itself."""

    dsn: Reference
    reader_dsn: Reference | None = None


class AddBody(ChangeBody):
    """An environment to add."""

    name: Annotated[str, StringConstraints(max_length=100, pattern=f"^{NAME.pattern}$")]
    kind: DatabaseKind


class EnvironmentObject(BaseModel):
    """An environment. `dsn` and `reader_dsn` are references to secrets; what the operator's file says is not shown."""

    name: str
    kind: DatabaseKind
    dsn: str | None
    reader_dsn: str | None
    origin: Origin
    created_at: datetime | None
    created_by: str | None
    updated_at: datetime | None
    updated_by: str | None


class EnvironmentAnswer(BaseModel):
    """One environment."""

    environment: EnvironmentObject


class EnvironmentList(BaseModel):
    """Environments by name; `count` is how many there are on this page."""

    environments: list[EnvironmentObject]
    count: int
    limit: int
    offset: int


class ChangedEnvironment(EnvironmentAnswer):
    """An environment that was just added or changed."""

    message: str


class RemovedEnvironment(BaseModel):
    """The name that is free now."""

    message: str
    name: str


class AccessObject(BaseModel):
    """What one address gives: `server` is its kind and version, `latency_ms` one question and its answer."""

    server: str
    latency_ms: float
    can_write: bool
    is_superuser: bool


class TrialObject(BaseModel):
    """What came of trying an environment; `ok` says that every address gives access."""

    name: str
    kind: DatabaseKind
    database: str
    ok: bool
    access: AccessObject | None
    reader: AccessObject | None
    problems: list[str]
    warnings: list[str]
