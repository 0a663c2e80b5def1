"""Notices which workers are not heard of, by no clock that somebody could move."""

from collections.abc import Iterable
from uuid import UUID

from adapters.postgres.job_runs import RunningJob

LOOKS = 15


class Silence:
    """Counts looks, not seconds: whoever stood still meanwhile, as a machine that slept, finds all others as they were.

    A worker is silent when that many looks in a row found no more signs of it.
    """

    def __init__(self, looks: int = LOOKS) -> None:
        self.looks = looks
        self.known: dict[UUID, tuple[int, int, int]] = {}

    def notice(self, running: Iterable[RunningJob]) -> list[RunningJob]:
        """The jobs whose workers are silent by now."""
        before, self.known, silent = self.known, {}, []
        for job in running:
            fence, beats, looks = before.get(job.job_id, (0, 0, 0))
            looks = looks + 1 if (fence, beats) == (job.fence, job.beats) else 0
            self.known[job.job_id] = (job.fence, job.beats, looks)
            if looks >= self.looks:
                silent.append(job)
        return silent
