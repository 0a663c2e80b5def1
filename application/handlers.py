"""What does the work of jobs: handlers by name, and what each of them is given."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from domain.errors import Unavailable

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
        """Tells how far it is: `done` of `total`, and whatever else helps; the last word counts."""
        ...

    def log(self, line: str) -> None:
        """Adds a line to the job's log; nothing secret."""
        ...

    async def milestone(self, name: str, **facts: Any) -> None:
        """Records for ever how far it has come; for the few steps that are worth it."""
        ...


Handle = Callable[[Attempt], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Handler:
    """Does one kind of job; answers its result, small and without secrets. Its tries may follow each other.

    `prefix` begins the ids of its jobs as users see them, `kind` is what they call it.
    """

    name: str
    kind: str
    prefix: str
    handle: Handle
    timeout_seconds: int = 3600
    max_retries: int = 3


def by_name(*handlers: Handler) -> dict[str, Handler]:
    """The handlers by their names."""
    return {handler.name: handler for handler in handlers}


def mendable(problem: BaseException) -> bool:
    """Whether another try may succeed where this one failed: something was away, or too slow."""
    return isinstance(problem, MENDABLE)
