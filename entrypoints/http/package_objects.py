"""What is answered about packages."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from entrypoints.http.package_models import Document, PackageType, ShownStatus


class PackageRecord(BaseModel):
    """A package without its data. What it does not hold yet it says nothing of."""

    id: str
    name: str
    version: str
    packagetype: PackageType
    description: str | None
    databasetype: str | None
    checksum: str | None
    filesize: int | None
    status: ShownStatus
    environment: str | None
    active: bool
    tags: list[str]
    metadata: Document
    dependencies: list[str]
    includeparent: bool
    recordcounts: dict[str, int] | None
    imported: bool
    originalid: str | None
    signedby: str | None
    errorlog: list[str]
    createdby: str
    createdon: datetime
    modifiedon: datetime


class PackageList(BaseModel):
    """Packages, newest first; `count` is how many there are on this page."""

    packages: list[PackageRecord]
    count: int
    limit: int
    offset: int


class ActionRecord(BaseModel):
    """Something that was done with a package, whatever came of it."""

    id: str
    packageid: str
    actiontype: Literal["pack", "deploy", "rollback", "export", "import", "validate"]
    actionstatus: Literal["pending", "in_progress", "completed", "failed", "rolled_back"]
    sourceenvironment: str | None
    targetenvironment: str | None
    deploymentid: str | None
    performedat: datetime
    performedby: str
    startedat: datetime | None
    completedat: datetime | None
    durationseconds: float | None
    recordsprocessed: int
    recordssucceeded: int
    recordsfailed: int
    tablesprocessed: int
    options: Document
    errorlog: list[str]
    warninglog: list[str]


class ActionList(BaseModel):
    """Actions, newest first; `count` is how many there are on this page."""

    actions: list[ActionRecord]
    count: int


class PackageDetails(BaseModel):
    """The package document, with the rows of small tables and a link to those of others, and what was done last."""

    package: Document
    recent_actions: list[ActionRecord]


class CreatedPackage(BaseModel):
    """A package that was just made."""

    package: PackageRecord
    message: str


class PackingPackage(CreatedPackage):
    """A package that is still being packed, by a job."""

    job_id: str
    status: str


class ChangedPackage(BaseModel):
    """What was changed."""

    message: str
    package_id: str


class FoundTable(BaseModel):
    """What the package would hold of a table: how many rows, in bytes as lines, and how many for which reason."""

    name: str
    rows: int
    bytes: int
    reasons: dict[str, int]
    sample: list[Document]


class Preview(BaseModel):
    """What a package would hold."""

    environment: str
    databasetype: str
    tables: list[FoundTable]
    total_records: int
    total_bytes: int


class DataPage(BaseModel):
    """Rows of one table or documents of one collection; `total` is how many it has in the package."""

    table: str
    rows: list[Document]
    count: int
    total: int
    limit: int
    offset: int
