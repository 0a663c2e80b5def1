"""Commands about the feed: follow what happens, and publish what happened once more somewhere else."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.cli.failures import Exit, Failure, sentence
from entrypoints.cli.fields import Environment, Name
from entrypoints.cli.happenings import Happenings
from entrypoints.cli.output import note, print_json_line, safe
from entrypoints.cli.session import Session, command, group, query

if TYPE_CHECKING:
    from rollbook_subscriber.reading import Block

PATH = "/v1/events"
SILENT_SECONDS = 60.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0

commands = group()
events = group()
commands.add_typer(events, name="events", help="The feed of everything that is recorded.")

Topics = Annotated[
    list[str] | None, typer.Option("--topic", help="Only these: deployment.deployed, deployment.*, *.failed.")
]
Aggregates = Annotated[
    list[str] | None, typer.Option("--aggregate", help="Only of these: deployment, lane, freezes ...")
]
Lane = Annotated[str | None, typer.Option("--lane", help="Only what is about this lane, by its id.")]
To = Annotated[str | None, typer.Option("--to", help="Where to end: a position, a time, a reference.")]


@events.callback()
def feed() -> None:
    """The feed of everything that is recorded."""


@events.command("tail")
@command
def tail(
    session: Session,
    since: Annotated[
        str | None,
        typer.Option("--from", help="Begin behind this time, position, -1h or production~3; 0: all. Else now."),
    ] = None,
    topic: Topics = None,
    aggregate: Aggregates = None,
    lane: Lane = None,
    environment: Environment = None,
    name: Name = None,
    to: To = None,
    follow: Annotated[bool, typer.Option(help="Go on with what happens next; else end at the present.")] = True,
) -> None:
    """Print events as they are recorded; an outage is waited out, and nothing is lost or printed twice.

    For example: rollbook events tail --from -1h --topic 'deployment.*' --environment production
    """
    about = {"topic": topic, "aggregate": aggregate, "lane": lane, "environment": environment, "name": name}
    where = query(**{"from": since, "to": to}, **about, follow=follow)
    happenings = Happenings(session.api)
    for event in (block.event for block in Reading(session, where).blocks()):
        if event is not None and session.as_json:
            print_json_line(event.facts)
        elif event is not None:
            print(happenings.line(event), flush=True)


class Reading:
    """The feed from wherever it broke off. `store` is the id of whose it is."""

    def __init__(self, session: Session, where: list[tuple[str, str]]) -> None:
        self.session = session
        self.where = where
        self.place: str | None = None
        self.store = ""
        self.pause = FIRST_PAUSE

    def blocks(self) -> "Iterator[Block]":
        """What the feed says; a failure only when the answer stands, or is the first one."""
        while True:
            try:
                for block in self.once():
                    yield block
                    self.place, self.pause = block.place or self.place, FIRST_PAUSE
                    if block.ends:
                        return
            except Failure as failure:
                if self.place is None or failure.exit_code is not Exit.UNAVAILABLE:
                    raise
                note(safe(f"{sentence(failure)}; going on behind {self.place}"))
            time.sleep(self.pause)
            self.pause = min(self.pause * 2, LONGEST_PAUSE)

    def once(self) -> "Iterator[Block]":
        """What the feed says over one connection."""
        from httpx2 import Timeout
        from rollbook_subscriber.reading import Unreachable, blocks

        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self.place} if self.place else {})
        sent = {"headers": headers, "timeout": Timeout(SILENT_SECONDS)}
        with self.session.api.stream("GET", PATH, self.where, **sent) as response:
            self.store = response.headers.get("x-rollbook-store", "")
            try:
                for several in blocks(response.iter_bytes()):
                    yield from several
            except Unreachable as problem:
                raise Failure(str(problem), Exit.UNAVAILABLE, "UNEXPECTED_ANSWER") from None


@events.command("replay")
@command
def replay(
    session: Session,
    since: Annotated[str, typer.Option("--from", help="Begin behind this position or time; 0 is the beginning.")],
    subject: Annotated[str, typer.Option("--to-subject", help="Where to publish; a stream of yours must take it.")],
    to: To = None,
    topic: Topics = None,
    aggregate: Aggregates = None,
    lane: Lane = None,
    environment: Environment = None,
    name: Name = None,
    nats_url: Annotated[str, typer.Option(envvar=["NATS_URL"], help="Where NATS is.")] = "nats://127.0.0.1:4222",
) -> None:
    """Publish the past once more, to a NATS subject of your own, as CloudEvents; it ends at the present.

    Each message bears its event's id, so that a stream takes no event twice within its window for duplicates. What is
    cut off says where to go on. For example: rollbook events replay --from 0 --to-subject team.rebuild
    """
    from entrypoints.cli.republishing import Republishing, check_subject

    check_subject(subject)
    about = {"topic": topic, "aggregate": aggregate, "lane": lane, "environment": environment, "name": name}
    where = query(**{"from": since, "to": to}, **about, follow=False)
    made = Republishing(Reading(session, where), subject, since, tell_progress)
    try:
        made.run(nats_url)
    except Failure as failure:
        failure.message += f"; go on with --from {made.place}"
        raise
    told = {"published": made.published, "known_already": made.repeated, "place": made.place}
    session.answer(told, lambda made: print(f"{made['published']} events published, up to {made['place']}"))


def tell_progress(count: int, place: str) -> None:
    """How far it is, for who waits."""
    note(f"{count} events, up to {place}")
