"""Files that jobs made, to be fetched while they are kept."""

from adapters.packages.exporting import ZIP
from application.exports import GENERATING
from domain.errors import Clash, Gone, NotFound
from domain.job_status import ENDED, JobStatus
from entrypoints.http.jobs import find_job
from entrypoints.http.package_export import file_answer
from entrypoints.http.packages import packages
from entrypoints.http.reading import reading
from entrypoints.http.routing import Answer, Call
from projections.read_model import Row


@packages.get(
    "/api/jobs/{job_id}/file",
    action="package.export",
    answer=bytes,
    media_type=ZIP,
    patient=True,
    raises=(NotFound, Clash, Gone),
)
async def fetch_file(call: Call, job_id: str) -> Answer:
    """Fetch the file that a job made: 409 while it is at work, 410 when the file is not kept any longer."""
    made = result_of(await find_job(await reading(call), job_id))
    size = await call.app.exporter.files.size(made["checksum"])
    if size is None:
        raise Gone("The file is not kept any longer: generate it anew")
    chunks = call.app.exporter.files.read(made["checksum"])
    return file_answer(made["file_name"], made["format"], chunks, size)


def result_of(row: Row) -> Row:
    """What the job says of its file."""
    if row["handler"] != GENERATING:
        raise NotFound("The job makes no file")
    if row["status"] not in ENDED:
        raise Clash(f"The file is not there yet: the job is {row['status']}")
    if row["status"] != JobStatus.COMPLETED:
        raise NotFound(f"The job made no file: it is {row['status']}")
    made: Row = row["result"]
    return made
