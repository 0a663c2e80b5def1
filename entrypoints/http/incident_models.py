"""What is sent and answered about incidents and teams."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints

from domain.incident import Relation
from entrypoints.http.fields import FLAG, Lenient, Moment, OptionalText, Past, no_filter, or_nothing

MAX_LINKS = 100
MAX_TEAMS = 200
MAX_COMPONENTS = 500


Title = Annotated[str, StringConstraints(min_length=1, max_length=1000, strip_whitespace=True, pattern=r"\S")]
Reason = Annotated[str, StringConstraints(max_length=10_000)]
DeploymentId = Annotated[
    str, StringConstraints(max_length=100), Field(description="A deployment's id, as the interface shows it")
]
TeamName = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True, pattern=r"\S")]
Component = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class LinkBody(Lenient):
    """A deployment that caused an incident, or mended it."""

    deployment_id: DeploymentId
    relation: Relation = Relation.CAUSED


class UnlinkBody(LinkBody):
    """A link to take back, and why."""

    reason: Reason | None = None


class ReportBody(Lenient):
    """An incident to report; `reference` is its name in another tool."""

    title: Title
    began_at: Moment
    reference: Annotated[str, StringConstraints(max_length=1000)] | None = None
    deployments: Annotated[list[LinkBody], Field(max_length=MAX_LINKS)] = []


class ResolveBody(Lenient):
    """Since when users are served again; now, where it is left out."""

    ended_at: Moment | None = None


class ReopenBody(Lenient):
    """Why it is not over."""

    reason: Reason | None = None


class ShowIncident(Lenient):
    """As it is, or as it was known then."""

    as_of: Past | None = None


class ListIncidents(ShowIncident):
    """Filters, and where in the list to begin."""

    resolved: Annotated[bool | None, BeforeValidator(no_filter), or_nothing(**FLAG)] = None
    limit: int = Field(default=100, ge=0, le=1000)
    cursor: OptionalText = None


class LinkObject(BaseModel):
    """A deployment that is linked; `changed_at` is when that became known, `changed_by` who said it."""

    deployment_id: str
    relation: Relation
    changed_at: datetime
    changed_by: str


class IncidentObject(BaseModel):
    """An incident. `restore_seconds` is from its beginning to its end; null while it goes on."""

    id: str
    title: str
    began_at: datetime
    ended_at: datetime | None
    resolved: bool
    restore_seconds: float | None
    reference: str | None
    reported_by: str
    deployments: list[LinkObject]
    created_at: datetime
    updated_at: datetime
    version_number: int


class TeamsBody(BaseModel):
    """The names of their components by team; a component may belong to several teams."""

    teams: Annotated[
        dict[TeamName, Annotated[list[Component], Field(max_length=MAX_COMPONENTS)]], Field(max_length=MAX_TEAMS)
    ]
