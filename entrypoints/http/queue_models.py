"""What the deployment queue takes and gives, as its users send and read it."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationInfo, model_validator

from domain.status import Status, Trigger
from domain.taxonomy import Taxonomy
from entrypoints.http.fields import AsOf as AsOf
from entrypoints.http.fields import (
    Fence,
    Flag,
    Lenient,
    Moment,
    Name,
    OptionalText,
    Past,
    Text,
    no_filter,
    number,
    or_empty,
    or_several,
    several,
)


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


def environment_optional(schema: dict[str, Any]) -> None:
    """The document cannot know whether DEFAULT_ENVIRONMENT is set."""
    schema["required"].remove("environment")
    schema["properties"]["environment"]["type"] = ["string", "null"]


class CreateDeployment(Lenient):
    """A release to queue."""

    model_config = ConfigDict(json_schema_extra=environment_optional)

    name: Name
    version: Name
    provider: Provider
    cloud_account_id: Text | None = None
    region: Text | None = None
    environment: Text = Field(description="Required unless DEFAULT_ENVIRONMENT is set")
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

    @model_validator(mode="before")
    @classmethod
    def with_the_configured_environment(cls, sent: Any, info: ValidationInfo) -> Any:
        """Today's clients send none; a null or an empty one is none."""
        if not isinstance(sent, dict) or sent.get("environment") not in (None, ""):
            return sent
        default = info.context and info.context.settings.default_environment
        rest = {name: value for name, value in sent.items() if name != "environment"}
        return rest | {"environment": default} if default else rest


def without_default(schema: dict[str, Any]) -> None:
    """What is left out is left as it is, whatever the model holds in its place."""
    schema.pop("default", None)


class UpdateDeployment(Lenient):
    """What has become of a deployment."""

    status: Status = Field(default=Status.SCHEDULED, json_schema_extra=without_default)
    notes: Text | None = None
    deployment_uri: Text | None = None
    lease: Fence | None = Field(default=None, description="The fence of the runner's claim")
    override: Text | None = Field(default=None, description="Why this may start during a freeze")


class ListDeployments(AsOf):
    """Filters, all of which must agree."""

    status: Annotated[list[Status] | None, BeforeValidator(several), or_several(Status)] = None
    name: OptionalText = None
    environment: OptionalText = None
    provider: Annotated[Provider | None, BeforeValidator(no_filter), or_empty(Provider)] = None
    cloud_account_id: OptionalText = None
    region: OptionalText = None
    cell: OptionalText = None
    cell_is_null: Flag = False
    trigger: Annotated[Trigger | None, BeforeValidator(no_filter), or_empty(Trigger)] = None
    since: Moment | None = None
    until: Moment | None = None
    sort: Literal["created_at", "-created_at"] = "-created_at"
    limit: int = Field(default=100, ge=0, le=1000)
    cursor: OptionalText = None


class ListLanes(AsOf):
    """Filters, all of which must agree."""

    name: OptionalText = None
    provider: Annotated[Provider | None, BeforeValidator(no_filter), or_empty(Provider)] = None
    cloud_account_id: OptionalText = None
    region: OptionalText = None
    cell: OptionalText = None
    cell_is_null: Flag = False
    limit: int = Field(default=1000, ge=0, le=1000)
    cursor: OptionalText = None


class ListLive(ListLanes):
    """Filters, and when: `as_of` is what was known, `valid_at` what was true."""

    valid_at: Past | None = None


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
    """What to go back to, and why that may start during a freeze."""

    target_version: OptionalText = None
    override: OptionalText = None


LeaseSeconds = Annotated[
    Annotated[int, Field(ge=5, le=3600), BeforeValidator(number)] | None,
    Field(description="How long the claim holds without a word; LEASE_SECONDS unless given"),
]


class Claim(Lenient):
    """A runner that asks for work."""

    lanes: Annotated[list[LaneFields], Field(min_length=1, max_length=1000)]
    runner: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    lease_seconds: LeaseSeconds = None
    override: Text | None = None


class Heartbeat(Lenient):
    """A runner that is alive."""

    fence: Fence
    lease_seconds: LeaseSeconds = None


class Reason(Lenient):
    """Why."""

    reason: Text | None = None


class ReleaseHoldBody(LaneFields):
    """Which lane to let go on, and why."""

    reason: Text | None = None


class DeploymentObject(BaseModel):
    """A deployment; absent values are null. More members may follow.

    `stale_since` is there only while a fault keeps events from the answer: the position of the first one.
    """

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
