"""Commands about jobs: what waits, runs and has ended; follow, stop, try again."""

import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from domain.job_status import JobStatus
from entrypoints.cli.failures import Exit, Failure
from entrypoints.cli.fields import AsOf, Output
from entrypoints.cli.output import moment, note, print_json_line, print_record, print_table, safe, word
from entrypoints.cli.session import Session, command, filled, group, part, query

PATH = "/api/jobs"
HEADINGS = ("ID", "TYPE", "STATUS", "SCHEDULED", "STARTED", "ENDED", "TRIES", "BY")
TIMES = ("scheduled_at", "started_at", "completed_at", "created_at")
CUT_OFF, CUT_OFF_SECONDS = 5, 1.0
ENDED = ("completed", "failed", "cancelled", "timeout")

commands = group()
job = group()
commands.add_typer(job, name="job", help="Jobs of this organisation.")

Id = Annotated[str, typer.Argument(metavar="ID", help="A job's id.")]


@job.callback()
def jobs() -> None:
    """Jobs of this organisation."""


@job.command("list")
@command
def listed(
    session: Session,
    status: Annotated[list[JobStatus] | None, typer.Option(help="Only with this status; several times.")] = None,
    handler: Annotated[str | None, typer.Option(help="Only what this handler does.")] = None,
    limit: Annotated[int, typer.Option(min=0, max=1000, help="How many at most.")] = 50,
    offset: Annotated[int, typer.Option(min=0, help="How many to pass over.")] = 0,
    as_of: AsOf = None,
) -> None:
    """List jobs, newest first."""
    where = query(status=status or None, handler=handler, limit=limit, offset=offset, as_of=as_of)
    body = session.api.get(PATH, where).body
    session.answer(body, lambda told: print_table(HEADINGS, [row_of(one) for one in told["jobs"]]))


def row_of(body: dict[str, Any]) -> list[str]:
    """A job as a row under HEADINGS."""
    times = [moment(body[name]) for name in TIMES[:3]]
    return [*(word(body[k]) for k in ("job_id", "job_type", "status")), *times, tries(body), word(user_of(body))]


def tries(body: dict[str, Any]) -> str:
    """How often it was tried again, of how often it may be."""
    return f"{body['retry_count']}/{body['max_retries']}"


def user_of(body: dict[str, Any]) -> Any:
    """Who asked for it."""
    return body["job_data"].get("user")


@job.command("show")
@command
def show(session: Session, job_id: Id, as_of: AsOf = None) -> None:
    """Show one job."""
    session.answer(session.api.get(f"{PATH}/{part(job_id)}", query(as_of=as_of)).body, tell)


def tell(body: dict[str, Any]) -> None:
    """Prints a job's fields, without those that are empty, and without the keys of rows."""
    shown = {k: moment(v) if k in TIMES else v for k, v in body.items() if v is not None}
    if isinstance(deployed := (body["result"] or {}).get("deployed"), dict):
        shown["result"] = {name: value for name, value in deployed.items() if name not in ("keys", "kept")}
    print_record(shown)


@job.command("watch")
@command
def watch(
    session: Session,
    job_id: Id,
    interval: Annotated[float, typer.Option(min=0.2, max=3600, help="Seconds between two looks.")] = 0.5,
    duration: Annotated[float, typer.Option("--for", min=0, max=7 * 86400, help="Seconds at most.")] = 86400.0,
) -> None:
    """Follow a job until it ends; exit code 1 unless it completed."""
    shown = bar if sys.stdout.isatty() and not session.as_json else lines
    (last,) = deque(shown(look_again(session, job_id, interval, duration), session.as_json), maxlen=1)
    if last.get("status") in ENDED and last["status"] != "completed":
        why = f": {word(last['last_error'])}" if last.get("last_error") else ""
        raise Failure(f"The job is {last['status']}{why}", Exit.REFUSED, "JOB_NOT_COMPLETED")


def look_again(session: Session, job_id: str, interval: float, duration: float) -> Iterator[dict[str, Any]]:
    """The job at every interval, until it has ended or the time is over; later outages are waited out for a while."""
    end, failures = time.monotonic() + duration, CUT_OFF
    while True:
        try:
            body = session.api.get(f"{PATH}/{part(job_id)}").body
        except Failure as failure:
            failures += 1
            if failure.exit_code is not Exit.UNAVAILABLE or failures >= CUT_OFF:
                raise
            time.sleep(CUT_OFF_SECONDS)
            continue
        failures = 0
        yield body
        if body["status"] in ENDED or time.monotonic() + interval > end:
            return
        time.sleep(interval)


def lines(looks: Iterator[dict[str, Any]], as_json: bool) -> Iterator[dict[str, Any]]:
    """One line for each change."""
    before = None
    for body in looks:
        if (now := (body["status"], body["progress"])) != before:
            print_json_line(body) if as_json else print(in_words(body), flush=True)
        before = now
        yield body


def bar(looks: Iterator[dict[str, Any]], as_json: bool) -> Iterator[dict[str, Any]]:
    """A progress bar."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()) as progress:
        shown = progress.add_task("", total=None)
        for body in looks:
            told = body["progress"] or {}
            done = told.get("done") or 0
            progress.update(shown, description=safe(in_words(body)), completed=done, total=told.get("total"))
            yield body


def in_words(body: dict[str, Any]) -> str:
    """A job's status and progress in one line."""
    told = body["progress"] or {}
    facts = [word(told[name]) for name in ("table", "waits") if told.get(name)]
    if (done := told.get("done")) is not None:
        facts.append(f"{number(done)} of {number(told['total'])} rows" if told.get("total") else f"{number(done)} rows")
    if told.get("rate"):
        facts.append(f"{number(told['rate'])} rows/s")
    if told.get("seconds_left") is not None and body["status"] == "processing":
        facts.append(f"{number(told['seconds_left'])} s left")
    return "  ".join(map(safe, [word(body["status"]), *facts]))


def number(value: Any) -> str:
    """A number without more digits than mean something."""
    return f"{value:,.0f}" if isinstance(value, int | float) else word(value)


@job.command("logs")
@command
def logs(
    session: Session,
    job_id: Id,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Also what is still to come.")] = False,
) -> None:
    """Print what a job's handler wrote."""
    for line in log_lines(session, f"{PATH}/{part(job_id)}", follow):
        print_json_line(line) if session.as_json else print(safe(line), flush=True)


def log_lines(session: Session, path: str, follow: bool) -> Iterator[str]:
    """The lines; one who follows and is cut off goes on where that was, until the job has ended."""
    offset, failures, ended = 0, 0, not follow
    while True:
        before = offset
        try:
            for line in session.api.lines(f"{path}/logs", query(follow=follow, offset=offset or None)):
                offset += len(line.encode()) + 1
                yield line
            if ended:
                return
            ended = session.api.get(path).body["status"] in ENDED
        except Failure as failure:
            failures = failures + 1 if offset == before else 0
            if not follow or failure.exit_code is not Exit.UNAVAILABLE or failures >= CUT_OFF:
                raise
            time.sleep(CUT_OFF_SECONDS)


@job.command("file")
@command
def file(session: Session, job_id: Id, output: Output = None) -> None:
    """Fetch the file that a job made."""
    # That module follows jobs, so it is here before this one is whole.
    from entrypoints.cli.downloads import download

    download(session, "GET", f"{PATH}/{part(job_id)}/file", output)


@job.command("cancel")
@command
def cancel(
    session: Session, job_id: Id, reason: Annotated[str | None, typer.Option(help="Why, for its history.")] = None
) -> None:
    """Stop a job, or never begin it."""
    reply = session.api.send("POST", f"{PATH}/{part(job_id)}/cancel", filled(reason=reason))
    session.answer(reply.body, lambda body: note(cancelled(body)))


def cancelled(body: dict[str, Any]) -> str:
    """What came of a wish to cancel."""
    ended = body["status"] == "cancelled"
    return "The job is cancelled" if ended else "The job's worker was asked to stop"


@job.command("retry")
@command
def retry(session: Session, job_id: Id) -> None:
    """Try a job again that did not succeed."""
    session.answer(session.api.send("POST", f"{PATH}/{part(job_id)}/retry").body, lambda _: note("The job waits again"))
