"""What is needed of the queue that offers waiting jobs to workers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """A job that may start; `version`, that of its stream, tells this wait from earlier ones of the same job.

    What is done for it is a consequence of what `correlation_id` names; `traceparent` is that of who asked for it.
    """

    organisation: str
    job_id: UUID
    priority: int
    version: int
    correlation_id: str | None = None
    traceparent: str | None = None


class Offer(Protocol):
    """A waiting job in the hands of one worker, for as long as that worker is heard of."""

    @property
    def job(self) -> WaitingJob: ...

    async def keep(self) -> None:
        """Says that the worker still works on it."""
        ...

    async def settle(self) -> None:
        """Takes it off the queue: it has ended, or is to be offered anew under another version."""
        ...

    async def give_back(self, seconds: float) -> None:
        """Lets it be offered again after some seconds."""
        ...

    async def tell(self, facts: Mapping[str, Any]) -> None:
        """Lets whoever listens now know how the job gets on; nothing keeps it."""
        ...


class JobQueue(Protocol):
    """Offers each job to one worker at a time, the higher priorities first; an offer twice over is harmless."""

    async def put(self, jobs: Sequence[WaitingJob]) -> None:
        """Offers these; one that is offered already is not doubled."""
        ...

    async def take(self, most: int, seconds: float) -> Sequence[Offer]:
        """Up to so many offers, as soon as there is one; none after that many seconds."""
        ...
