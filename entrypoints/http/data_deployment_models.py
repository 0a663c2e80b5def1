"""What is sent and answered about deployments of packages."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from application.ports.databases import DeployOptions
from entrypoints.http.fields import (
    FLAG,
    AsOf,
    Flag,
    Lenient,
    Moment,
    OptionalText,
    no_filter,
    number,
    or_empty,
    or_nothing,
)

Called = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Rows = Annotated[int, Field(ge=1, le=1_000_000), BeforeValidator(number)]
MOST_KEYS = 1000


class DeploymentStatus(StrEnum):
    """Where a deployment is in its life, in the words of the document."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"


class KeyFormat(StrEnum):
    """How keys are written, a pair a line."""

    NDJSON = "ndjson"
    CSV = "csv"


class OptionsBody(BaseModel):
    """How rows are to be deployed. A member that nobody knows is refused: it was meant to keep something safe."""

    model_config = ConfigDict(extra="forbid")
    skip_existing: Flag = True
    update_existing: Flag = False
    validate_references: Flag = True
    create_missing: Flag = False
    batch_size: Rows = 100
    transaction_size: Rows = 1000
    continue_on_error: Flag = False
    dry_run: Flag = False
    rebuild_indexes: Flag = False
    force: Flag = False

    def chosen(self) -> DeployOptions:
        """As deployments know them."""
        return DeployOptions(**self.model_dump())


class DiffBody(Lenient):
    """Where the package would go."""

    environment: Called
    options: OptionsBody = OptionsBody()


class DeployBody(DiffBody):
    """Where the package goes, and when: now while the caller waits, or by a job; `schedule_at` alone means a job."""

    run_as_background: Flag = False
    schedule_at: Moment | None = None


class RollbackBody(Lenient):
    """Why; with `force` also where later writes are lost."""

    reason: Annotated[str, StringConstraints(max_length=10_000)] | None = None
    force: Flag = False


class ListDeployments(AsOf):
    """Filters, all of which must agree. `package` is an id or a name."""

    environment: OptionalText = None
    is_active: Annotated[Flag | None, BeforeValidator(no_filter), or_nothing(**FLAG)] = None
    package: OptionalText = None
    status: Annotated[DeploymentStatus | None, BeforeValidator(no_filter), or_empty(DeploymentStatus)] = None
    limit: int = Field(default=50, ge=0, le=1000)
    offset: int = Field(default=0, ge=0, le=10_000_000)


class ReadKeys(AsOf):
    """Which keys: of one table, behind a `cursor` of ours."""

    table: OptionalText = None
    limit: int = Field(default=1000, ge=0, le=MOST_KEYS)
    cursor: OptionalText = None


class DownloadKeys(AsOf):
    """Which keys, and how they are written."""

    table: OptionalText = None
    format: KeyFormat = KeyFormat.NDJSON


class Counts(BaseModel):
    """How many rows are new, were changed, were the same, were left out."""

    new: int
    changed: int
    same: int
    failed: int


class MoreKeys(BaseModel):
    """How many keys a table's mapping has, and where all of them are."""

    count: int
    link: str


class DeploymentResult(BaseModel):
    """What was deployed. `pk_mapping_result` maps keys of the package to keys of the target by table; of tables that
    are in `pk_mapping_more` it has only some. `validated` is a dry run, of which nothing remains."""

    id: str
    package_id: str
    status: str
    environment: str
    deployed_at: datetime | None
    pk_mapping_result: dict[str, dict[str, str]]
    pk_mapping_more: dict[str, MoreKeys]
    tables: dict[str, Counts]
    warnings: list[str]


class DeployedPackage(BaseModel):
    """A deployment that was made, or tried."""

    message: str
    deployment: DeploymentResult


class ScheduledJob(BaseModel):
    """The job that does it."""

    message: str
    job_id: str
    status: str


class DeploymentRecord(BaseModel):
    """A deployment of a package. `isactive` is that of the newest of its package in its environment that is there."""

    id: str
    packageid: str
    packagename: str
    packageversion: str
    actionid: str
    environment: str
    databasename: str | None
    status: DeploymentStatus
    scheduledat: datetime | None
    deployedat: datetime | None
    deployedby: str | None
    isactive: bool
    replacedat: datetime | None
    replacedby: str | None
    rolledbackat: datetime | None
    rolledbackby: str | None
    active: bool
    options: dict[str, Any]
    recordcounts: dict[str, Counts]
    errorlog: list[str]
    warninglog: list[str]
    createdby: str
    createdon: datetime
    modifiedon: datetime


class DeploymentList(BaseModel):
    """Deployments, newest first; `count` is how many there are on this page."""

    deployments: list[DeploymentRecord]
    count: int
    limit: int
    offset: int


class DeploymentDetails(BaseModel):
    """One deployment."""

    deployment: DeploymentRecord


class RolledBack(DeploymentDetails):
    """A deployment that was taken back: of each table `new` rows went, and `changed` ones are as they were."""

    message: str
    tables: dict[str, Counts]


class KeyPair(BaseModel):
    """A row's key in the package, and in the target; keys of several columns are JSON arrays."""

    source: str
    target: str


class KeyPage(BaseModel):
    """Some of the mapping of a table as the deployment left it; where that was not kept, as the target knows it now.
    `next` is the cursor of the next page."""

    table: str
    mappings: list[KeyPair]
    count: int
    next: str | None


class DifferenceObject(BaseModel):
    """What a deployment would do to a table. A conflict is a row that somebody changed since the package left it."""

    new: int
    changed: int
    same: int
    conflict: int
    samples: dict[str, list[dict[str, Any]]]


class Differences(BaseModel):
    """What a deployment would do, by table."""

    package_id: str
    environment: str
    tables: dict[str, DifferenceObject]
