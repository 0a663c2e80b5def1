"""What the deployment queue takes and gives, as its users send and read it."""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from domain.status import Status, Trigger
from domain.taxonomy import Taxonomy

RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
# What else stands for a boolean, as the original takes it.
WORDS_FOR = ["true", "false", "True", "False", "1", "0", "t", "f", "y", "n", "yes", "no", "on", "off", 0, 1]


def rfc_3339(value: Any) -> Any:
    """A moment as RFC 3339 writes it: numbers and half dates are none."""
    if not isinstance(value, str) or not RFC_3339.fullmatch(value):
        raise PydanticCustomError("datetime_parsing", "Input should be a time in RFC 3339 with an offset")
    return value


def number(value: Any) -> Any:
    """A number, as JSON writes numbers."""
    if isinstance(value, bool | str):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


Text = Annotated[str, StringConstraints(max_length=100_000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100_000)]
Moment = Annotated[AwareDatetime, BeforeValidator(rfc_3339)]
Flag = Annotated[bool, WithJsonSchema({"anyOf": [{"type": "boolean"}, {"enum": WORDS_FOR}]})]
Whole = Annotated[int, BeforeValidator(number)]
PAST = {"anyOf": [{"type": "string", "pattern": "^[0-9]+$"}, {"type": "string", "format": "date-time"}]}
Past = Annotated[str, WithJsonSchema(PAST)]


class Provider(StrEnum):
    """Whose cloud."""

    GCP = "gcp"
    AWS = "aws"
    AZURE = "azure"


class DeploymentType(StrEnum):
    """What kind of thing is deployed."""

    K8S = "k8s"
    TERRAFORM = "terraform"
    DATA_PIPELINE = "data_pipeline"


def no_filter(value: Any) -> Any:
    """An empty text filter means no filter."""
    return None if value == "" else value


def several(value: Any) -> Any:
    """Several values may come apart or with commas between them."""
    if isinstance(value, list):
        value = [part for item in value for part in item.split(",") if part]
    return value or None


OptionalText = Annotated[str | None, BeforeValidator(no_filter)]


class Lenient(BaseModel):
    """Unknown members are ignored, as the original ignores them."""

    model_config = ConfigDict(extra="ignore")


class CreateDeployment(Lenient):
    """A release to queue."""

    name: Name
    version: Name
    provider: Provider
    cloud_account_id: Text | None = None
    region: Text | None = None
    environment: Text | None = Field(default=None, description="Required unless DEFAULT_ENVIRONMENT is set")
    cell: Text | None = None
    type: DeploymentType
    auto: Flag = True
    commit_sha: Text | None = None
    pipeline_extra_params: Text | None = None
    description: Text | None = None
    notes: Text | None = None
    build_uri: Text | None = None
    deployment_uri: Text | None = None
    resource: Text | None = None
    committed_at: Moment | None = None
    change_url: Text | None = None
    incident_id: Text | None = None


def without_default(schema: dict[str, Any]) -> None:
    """What is left out is left as it is, whatever the model holds in its place."""
    schema.pop("default", None)


class UpdateDeployment(Lenient):
    """What has become of a deployment."""

    status: Status = Field(default=Status.SCHEDULED, json_schema_extra=without_default)
    notes: Text | None = None
    deployment_uri: Text | None = None
    lease: Whole | None = Field(default=None, description="The fence of the runner's claim")
    override: Text | None = Field(default=None, description="Why this may start during a freeze")


class ListDeployments(Lenient):
    """Filters, all of which must agree."""

    status: Annotated[list[Status] | None, BeforeValidator(several)] = None
    name: OptionalText = None
    environment: OptionalText = None
    provider: Annotated[Provider | None, BeforeValidator(no_filter)] = None
    cloud_account_id: OptionalText = None
    region: OptionalText = None
    cell: OptionalText = None
    cell_is_null: Flag = False
    trigger: Annotated[Trigger | None, BeforeValidator(no_filter)] = None
    since: Moment | None = None
    until: Moment | None = None
    sort: Literal["created_at", "-created_at"] = "-created_at"
    limit: int = Field(default=100, ge=0, le=1000)
    cursor: OptionalText = None
    as_of: Past | None = None


class AsOf(Lenient):
    """A moment or a position of the past."""

    as_of: Past | None = None


class LaneFields(Lenient):
    """The fields that name a lane, without its organisation."""

    name: Name
    provider: Provider
    cloud_account_id: Text | None = None
    region: Text | None = None
    cell: Text | None = None

    def taxonomy(self) -> Taxonomy:
        """The taxonomy that they name; an empty cell is none."""
        return Taxonomy(self.name, self.provider.value, self.cloud_account_id, self.region, self.cell or None)


class RollBackQuery(LaneFields):
    """Which lane to roll back, and to what."""

    target_version: OptionalText = None
    environment: OptionalText = None


class RollBackTo(Lenient):
    """What to go back to."""

    target_version: OptionalText = None


class Claim(Lenient):
    """A runner that asks for work."""

    lanes: Annotated[list[LaneFields], Field(min_length=1, max_length=1000)]
    runner: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    lease_seconds: Whole = Field(default=60, ge=5, le=3600)
    override: Text | None = None


class Heartbeat(Lenient):
    """A runner that is alive."""

    fence: Whole = Field(ge=1, le=2**31 - 1)
    lease_seconds: Whole = Field(default=60, ge=5, le=3600)


class Reason(Lenient):
    """Why."""

    reason: Text | None = None


class ReleaseHoldBody(LaneFields):
    """Which lane to let go on, and why."""

    reason: Text | None = None


class DeploymentObject(BaseModel):
    """A deployment; absent values are null. More members may follow."""

    model_config = ConfigDict(extra="allow")
    id: str
    created_at: datetime
    updated_at: datetime
    organisation: str
    name: str
    version: str
    commit_sha: str | None
    pipeline_extra_params: str | None
    provider: Provider
    cloud_account_id: str | None
    region: str | None
    environment: str
    cell: str | None
    type: DeploymentType
    status: Status
    auto: bool
    description: str | None
    notes: str | None
    trigger: Trigger
    source_deployment_id: str | None
    rollback_from_deployment_id: str | None
    build_uri: str | None
    deployment_uri: str | None
    resource: str | None
    created_by_repo: str
    created_by_workflow: str
    created_by_actor: str
    skipped_by: str | None
    skip_rule: str | None
    approved: bool
    claimed_by: str | None
    version_number: int
    position: int
    lane_id: str
    committed_at: datetime | None
    change_url: str | None
    incident_id: str | None
