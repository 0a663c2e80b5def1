"""What is sent and answered about jobs."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from domain.job_status import JobStatus
from entrypoints.http.fields import AsOf, Lenient, OptionalText, Text, or_several, several


class ListJobs(AsOf):
    """Filters, all of which must agree."""

    status: Annotated[list[JobStatus] | None, BeforeValidator(several), or_several(JobStatus)] = None
    handler: OptionalText = None
    limit: int = Field(default=50, ge=0, le=1000)
    offset: int = Field(default=0, ge=0, le=10_000_000)


class CancelBody(Lenient):
    """Why it is to stop."""

    reason: Text | None = None


class FollowLog(Lenient):
    """From which byte on; with `follow` also the lines to come, until the job ends."""

    offset: int = Field(default=0, ge=0, le=2**62)
    follow: bool = False


class JobObject(BaseModel):
    """A job. `result` is there when it completed, `progress` while it runs and after."""

    job_id: str
    job_type: str
    status: JobStatus
    scheduled_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    job_data: dict[str, Any]
    handler: str
    priority: int
    retry_count: int
    max_retries: int
    timeout_seconds: int
    last_error: str | None
    result: dict[str, Any] | None
    progress: dict[str, Any] | None
    cancelling: bool
    worker: str | None
    created_at: datetime


class JobList(BaseModel):
    """Jobs, newest first; `count` is how many there are on this page."""

    jobs: list[JobObject]
    count: int
    limit: int
    offset: int
