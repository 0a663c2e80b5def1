"""Follows a job until it ends, with a progress bar for whoever looks."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from entrypoints.cli.failures import Exit, Failure
from entrypoints.cli.jobs import ENDED, look_again
from entrypoints.cli.output import note, safe, word
from entrypoints.cli.session import Session

INTERVAL_SECONDS = 0.5
LONGEST_SECONDS = 7 * 86_400.0
Advance = Callable[[str, float | None, float | None, str], None]
"""Called with what is going on, how much is done, of how much, and anything else."""


@contextmanager
def progress(quiet: bool) -> Iterator[Advance]:
    """A bar on stderr; nothing where nobody looks."""
    if quiet or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        shown = bar.add_task("", total=None, told="")

        def advance(what: str, done: float | None, total: float | None, told: str) -> None:
            bar.update(shown, description=safe(what), completed=done or 0, total=total, told=safe(told))

        yield advance


def follow(session: Session, job_id: str) -> dict[str, Any]:
    """The job once it has completed; a Failure when it ended otherwise. Who does not wait is told that it goes on."""
    body: dict[str, Any] = {}
    try:
        with progress(session.as_json) as advance:
            for body in look_again(session, job_id, INTERVAL_SECONDS, LONGEST_SECONDS):
                told = body["progress"] or {}
                advance(body["status"], told.get("done"), told.get("total"), rate_of(told))
    except KeyboardInterrupt:
        note(safe(f"The job goes on: rollbook job watch {job_id}, or rollbook job cancel {job_id}"))
        raise
    if body["status"] != "completed":
        why = f": {word(body['last_error'])}" if body.get("last_error") else ""
        said = f"The job {job_id} is {body['status']}{why}"
        raise Failure(
            said, Exit.REFUSED, "JOB_NOT_COMPLETED" if body["status"] in ENDED else "JOB_GOES_ON", answer=body
        )
    return body


def rate_of(told: dict[str, Any]) -> str:
    """Rows, how many a second, and how long it still takes."""
    facts = [f"{told['done']} rows"] if told.get("done") is not None else []
    facts += [f"{told['rate']}/s"] if told.get("rate") else []
    facts += [f"{told['seconds_left']} s left"] if told.get("seconds_left") is not None else []
    return "  ".join(facts)
