"""What does the work of jobs: handlers by name, and what each of them is given."""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from application.execution import Work
from domain.errors import RollbookError, Unavailable
from domain.job import Job
from domain.job_status import JobStatus

MENDABLE = (Unavailable, OSError, TimeoutError)


class Attempt(Protocol):
    """One try at a job. A handler is cancelled where it waits when its job is, or its time or its lease is over."""

    @property
    def organisation(self) -> str: ...
    @property
    def job_id(self) -> UUID: ...
    @property
    def fence(self) -> int: ...
    @property
    def arguments(self) -> Mapping[str, Any]: ...

    def progress(self, **facts: int | float | str | None) -> None:
        """Tells how far it is: `done` of `total`, and whatever else helps; the last word counts. While it says what it
        `waits` for, the worker takes another job beside this one."""
        ...

    def log(self, line: str) -> None:
        """Adds a line to the job's log; nothing secret."""
        ...

    async def milestone(self, name: str, **facts: Any) -> None:
        """Records for ever how far it has come; for the few steps that are worth it."""
        ...


@dataclass(frozen=True, slots=True)
class Turn:
    """What has become of a job: it ended (`result` when it completed, else `why`), or it waits for another try."""

    status: JobStatus
    result: Mapping[str, Any] | None = None
    why: str | None = None


Handle = Callable[[Attempt], Awaitable[dict[str, Any]]]
Follow = Callable[[Turn], None]
Concern = Callable[[Work, Job], Awaitable[Follow]]
"""Loads what a job is about. What it answers decides, in the same commit, what the job's turn means for that."""


@dataclass(frozen=True, slots=True)
class Handler:
    """Does one kind of job; answers its result, small and without secrets. Its tries may follow each other.

    `prefix` begins the ids of its jobs as users see them, `kind` is what they call it.
    """

    name: str
    kind: str
    prefix: str
    handle: Handle
    concern: Concern | None = None
    timeout_seconds: int = 3600
    max_retries: int = 3


def by_name(*handlers: Handler) -> dict[str, Handler]:
    """The handlers by their names."""
    return {handler.name: handler for handler in handlers}


def mendable(problem: BaseException) -> bool:
    """Whether another try may succeed where this one failed: something was away, or too slow."""
    return isinstance(problem, MENDABLE)


@contextmanager
def explained(attempt: Attempt) -> Iterator[None]:
    """Leaves the kind of a refusal beside its words, for who waits for the job; both are in its log, try by try."""
    try:
        yield
    except RollbookError as refusal:
        attempt.progress(error_code=refusal.code)
        log_facts(attempt, error=refusal.message, code=refusal.code)
        raise


def log_facts(attempt: Attempt, **facts: Any) -> None:
    """A line of the log that programs can read too."""
    attempt.log(json.dumps(facts, default=str, ensure_ascii=False))
