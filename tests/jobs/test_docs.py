"""docs/jobs.md shows another kind of job, which works as it stands there."""

import re
from pathlib import Path
from typing import Any
from uuid import UUID

from adapters.embedded.postgres import EmbeddedPostgres
from adapters.metrics import JOB_AGE, JOBS_RUNNING, JOBS_WAITING
from application.jobs import RequestJob, request_job
from domain.job_status import JobStatus
from tests.databases.conftest import made
from tests.jobs.conftest import Jobs
from tests.sharing import environments_of

DOCUMENT = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text()
HANDLER, REQUEST = re.findall(r"```python\n(.+?)```", DOCUMENT, re.DOTALL)


async def test_the_handler_that_is_shown_does_the_job_that_is_shown(
    jobs: Jobs, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    written: dict[str, Any] = {"__name__": "trying"}
    exec(compile(HANDLER, "docs/jobs.md", "exec", dont_inherit=True), written)
    jobs.handle(written["Trying"](jobs.app.environments).handler())
    jobs.dispatch()
    jobs.work()
    for dsn in made(postgres):
        staging = [{"name": "staging", "kind": "postgresql", "dsn": dsn}]
        with environments_of(jobs.app, "acme", staging, tmp_path):
            job = UUID(await jobs.run(request_job, eval(REQUEST, {"RequestJob": RequestJob})))
            row = await jobs.until(job, "completed")
    assert row["result"] == {"problems": []}
    assert "staging was tried" in b"".join([piece async for piece in jobs.app.logs.read("acme", job, 0)]).decode()


def test_every_status_and_every_gauge_is_told() -> None:
    told = set(re.findall(r"`(\w+)`", DOCUMENT))
    ended_by_itself = {JobStatus.PROCESSING, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED}
    assert {str(status) for status in JobStatus} - ended_by_itself <= told
    assert {gauge._name for gauge in (JOBS_WAITING, JOBS_RUNNING, JOB_AGE)} <= told
