"""What the peer stores, takes and gives."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar
from uuid import UUID, uuid4

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticKnownError
from sqlalchemy import DateTime, Index, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Status = StrEnum("Status", "scheduled in_progress deployed skipped failed rolled_back")
Provider = StrEnum("Provider", "gcp aws azure")
Trigger = StrEnum("Trigger", "auto manual rollback")
Kind = StrEnum("Kind", "k8s terraform data_pipeline")


def storable(text: str) -> str:
    """Postgres keeps no NUL."""
    if "\x00" in text:
        raise PydanticKnownError("string_unicode")
    return text


def no_filter(value: Any) -> Any:
    """An empty filter is none."""
    return value or None


def several(value: Any) -> Any:
    """Statuses, repeated or with commas; one that there is not is a fault of the filter as a whole."""
    parts: Sequence[str] = [value] if isinstance(value, str) else value or []
    named = [one for part in parts for one in part.split(",") if one]
    if not set(named) <= set(Status):
        raise PydanticKnownError("enum", {"expected": ", ".join(Status)})
    return named or None


Text = Annotated[str, AfterValidator(storable)]
OptionalText = Annotated[Text | None, BeforeValidator(no_filter)]


class Base(DeclarativeBase):
    """Tables of the peer."""

    type_annotation_map: ClassVar[dict[type, DateTime]] = {datetime: DateTime(timezone=True)}


class Deployment(Base):
    """One row a deployment."""

    __tablename__ = "deployments"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    organisation: Mapped[str]
    name: Mapped[str]
    version: Mapped[str]
    commit_sha: Mapped[str | None]
    pipeline_extra_params: Mapped[str | None]
    provider: Mapped[str]
    cloud_account_id: Mapped[str | None]
    region: Mapped[str | None]
    environment: Mapped[str]
    cell: Mapped[str | None]
    type: Mapped[str]
    status: Mapped[str] = mapped_column(default="scheduled")
    auto: Mapped[bool] = mapped_column(default=True)
    description: Mapped[str | None]
    notes: Mapped[str | None]
    trigger: Mapped[str]
    source_deployment_id: Mapped[str | None]
    rollback_from_deployment_id: Mapped[str | None]
    build_uri: Mapped[str | None]
    deployment_uri: Mapped[str | None]
    resource: Mapped[str | None]
    created_by_repo: Mapped[str]
    created_by_workflow: Mapped[str]
    created_by_actor: Mapped[str]
    skipped_by: Mapped[str | None]
    skip_rule: Mapped[str | None]

    __table_args__ = (
        Index("newest", "organisation", created_at.desc()),
        Index("by_status", "organisation", "status", created_at.desc()),
        Index("by_name", "organisation", "name", created_at.desc()),
        Index("by_environment", "organisation", "environment", created_at.desc()),
        Index("by_lane", "organisation", "name", "provider", "cloud_account_id", "region", "cell", "status"),
    )


class Create(BaseModel):
    """A deployment to queue."""

    name: Text
    version: Text
    provider: Provider
    cloud_account_id: Text | None = None
    region: Text | None = None
    environment: Text
    cell: Text | None = None
    type: Kind
    auto: bool = True
    commit_sha: Text | None = None
    pipeline_extra_params: Text | None = None
    description: Text | None = None
    notes: Text | None = None
    build_uri: Text | None = None
    deployment_uri: Text | None = None
    resource: Text | None = None


class Update(BaseModel):
    """What became of it."""

    status: Status = Status.scheduled
    notes: Text | None = None
    deployment_uri: Text | None = None


class Answer(Create):
    """A deployment as it is answered."""

    model_config = ConfigDict(from_attributes=True)
    id: UUID
    created_at: datetime
    updated_at: datetime
    organisation: str
    status: str
    trigger: str
    source_deployment_id: str | None
    rollback_from_deployment_id: str | None
    created_by_repo: str
    created_by_workflow: str
    created_by_actor: str
    skipped_by: str | None
    skip_rule: str | None
