"""What a request answers whose deployment or rollback goes on without it."""

from entrypoints.http.jobs import name_of
from entrypoints.http.routing import Answer, answer
from projections.read_model import Row


def scheduled(job: Row, message: str) -> Answer:
    """The job that does, or goes on doing, what was asked for."""
    return answer({"message": message, "job_id": name_of(job), "status": "scheduled"}, 202)
