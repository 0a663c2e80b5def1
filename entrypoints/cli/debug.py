"""The command that steps through the life of one thing in the terminal; what it is told it reads from stdin."""

import json
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.cli.failures import Exit, Failure, misuse
from entrypoints.cli.output import moment, note, print_json_line, safe
from entrypoints.cli.session import Session, command, group, part, query

if TYPE_CHECKING:
    from entrypoints.cli.debugging import Life

commands = group()
HELP = """next [N]             one step on, or N; also `forward`
back [N]             one step back, or N
goto N | #POSITION   to a step, or to where the log was at a position; also `jump`
state                everything that is known now: of the aggregate, and of the row that lists show
diff                 what this step changed
events               all events, the present one marked
command              who asked for this step, and from where
decision             by which rule it was decided, and on what
break FIELD[=VALUE]  stop where a field changes, or becomes a value; without a field: list them
continue             on to the next break, or to the end
help                 this
quit                 end"""


# Everything is kept after each step, and what a lane knows grows with it.
LONGEST = 500
Thing = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="A deployment's id; or job-ID, lane-ID, data_deployment-ID, incident-ID ... as `audit events` shows them.",
    ),
]


@commands.command("debug")
@command
def debug(session: Session, thing: Thing) -> None:
    """Step through the life of a deployment, or of anything else on record, event by event; `help` there tells how.

    \b
    printf 'break status=deployed\\ncontinue\\ndiff\\n' | rollbook debug 6b6f0c1e-...
    rollbook debug job-6b6f0c1e-...      (of what is no deployment the audit tells: an admin, or the scope audit.read)
    """
    from entrypoints.cli.client import unexpected

    try:
        debugger = Debugger(life(session, thing), session.as_json)
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise unexpected() from fault
    debugger.say({"events": len(debugger.life.steps)}, [f"{len(debugger.life.steps)} events; help tells what to type"])
    understood = [debugger.obey(line) for line in typed(debugger)]
    if not all(understood):
        raise typer.Exit(Exit.USAGE)


def life(session: Session, thing: str) -> "Life":
    """All that happened to it: by its history where it is a deployment, else by the audit."""
    from domain.aggregates import TOPICS
    from entrypoints.cli.audit import search
    from entrypoints.cli.debugging import life_of, life_of_stream

    kind, _, one = thing.partition("-")
    if kind not in TOPICS or kind == "deployment":
        path = part(one if kind == "deployment" else thing)
        return life_of(session.api.get(f"/v1/deployments/{path}/history").body)
    events = search(session, query(stream=thing, order="oldest"), LONGEST + 1)
    if not events:
        raise Failure(f"Nothing is on record of {thing}", Exit.NOT_FOUND, "NOT_FOUND")
    if len(events) > LONGEST:
        raise misuse(f"{thing} has more than {LONGEST} events: rollbook audit events --stream lists them")
    return life_of_stream(thing, events)


def typed(debugger: "Debugger") -> Iterator[str]:
    """The lines of stdin, with a prompt at a terminal, until it ends or somebody quits."""
    while not debugger.ended:
        if sys.stdin.isatty():
            print(f"({debugger.life.at}/{len(debugger.life.steps)}) ", end="", flush=True)
        if not (line := sys.stdin.readline()):
            return
        if line.strip():
            yield line.strip()


class Debugger:
    """Does what one line says, and prints what comes of it."""

    def __init__(self, life: "Life", as_json: bool) -> None:
        self.life = life
        self.as_json = as_json
        self.ended = False
        self.verbs: dict[str, Callable[[str], bool]] = {
            "next": lambda text: self.step(text, 1),
            "back": lambda text: self.step(text, -1),
            "goto": self.go_to,
            "state": self.state,
            "diff": self.diff,
            "events": self.events,
            "command": self.tell_command,
            "decision": self.decision,
            "break": self.break_at,
            "continue": self.go_on,
            "help": lambda _: self.say({"help": HELP.splitlines()}, HELP.splitlines()),
            "quit": self.quit,
        }

    def obey(self, line: str) -> bool:
        """One line; whether it was understood. A verb may be cut short where only one begins so; `n` and `c` go on."""
        verb, _, text = line.partition(" ")
        known = [OTHERWISE[verb]] if verb in OTHERWISE else [one for one in self.verbs if one.startswith(verb)]
        if len(known) == 1 and self.verbs[known[0]](text.strip()):
            return True
        note(safe(f"Not understood: {line}; help tells what to type"))
        return False

    def say(self, value: dict[str, Any], lines: list[str]) -> bool:
        """Prints it for a program or for a person."""
        if self.as_json:
            print_json_line(value)
        else:
            print("\n".join(safe(line) for line in lines), flush=True)
        return True

    def here(self, **more: Any) -> bool:
        """Tells where it is now."""
        step, at, of = self.life.step, self.life.at, len(self.life.steps)
        told = f"{at}/{of}  " + (headline(step.entry) if step else "Nothing has happened yet")
        return self.say({"step": at, "of": of, "entry": step and dict(step.entry), **more}, [told])

    def step(self, text: str, direction: int) -> bool:
        """So many steps on or back."""
        count = whole(text or "1")
        if count is None:
            return False
        moved = self.life.move(direction * count)
        return self.here() if moved else self.here(end=True) and self.explain("This is where it ends")

    def explain(self, text: str) -> bool:
        """Something for people alone."""
        note(text)
        return True

    def go_to(self, text: str) -> bool:
        """To a step or a position."""
        number = whole(text.removeprefix("#"))
        if number is None:
            return False
        found = self.life.find_position(number) if text.startswith("#") else self.life.find(number)
        if found is None:
            return self.explain(f"Nothing had happened to it at position {number}")
        self.life.at = found
        return self.here()

    def state(self, _: str) -> bool:
        """Everything that is known."""
        known = self.life.known(self.life.at)
        return self.say({"step": self.life.at, "state": known}, [f"{k} = {json.dumps(v)}" for k, v in known.items()])

    def diff(self, _: str) -> bool:
        """What this step changed."""
        changes = self.life.differences(self.life.at)
        told = [{"field": name, "before": before, "after": after} for name, before, after in changes]
        lines = [f"{name}: {json.dumps(before)} -> {json.dumps(after)}" for name, before, after in changes]
        return self.say({"step": self.life.at, "diff": told}, lines or ["It changed nothing"])

    def events(self, _: str) -> bool:
        """All of them."""
        entries = [step.entry for step in self.life.steps]
        marks = [">" if number == self.life.at else " " for number in range(1, len(entries) + 1)]
        lines = [f"{mark} {n:3}  {headline(e)}" for n, (mark, e) in enumerate(zip(marks, entries, strict=True), 1)]
        return self.say({"step": self.life.at, "events": [dict(entry) for entry in entries]}, lines)

    def tell_command(self, _: str) -> bool:
        """Who asked for it."""
        return self.tell_of("actor", "interface", "run", "cause", "at", "recorded_at", "event_id", "hash")

    def decision(self, _: str) -> bool:
        """Why it was decided so."""
        return self.tell_of("decision", "reason")

    def tell_of(self, *names: str) -> bool:
        """Some of what is known of the event."""
        if (step := self.life.step) is None:
            return self.here()
        told = {name: step.entry.get(name) for name in names}
        return self.say({"step": self.life.at, **told}, [f"{k} = {json.dumps(v)}" for k, v in told.items()])

    def break_at(self, text: str) -> bool:
        """Remembers a break, or lists them."""
        name, equals, value = text.partition("=")
        fields = {one for step in self.life.steps for one in step.known}
        if text and name.strip() not in fields:
            return self.explain(safe(f"No field is called {name.strip()}; state lists them")) and False
        if text:
            self.life.breaks[name.strip()] = value.strip() if equals else None
        lines = [f"{k} becomes {v}" if v is not None else f"{k} changes" for k, v in self.life.breaks.items()]
        return self.say({"breaks": self.life.breaks}, lines or ["No breaks"])

    def go_on(self, _: str) -> bool:
        """On to the next break."""
        hit = self.life.go_on()
        return self.here(stopped_by=hit) and (bool(hit) or self.explain("This is where it ends"))

    def quit(self, _: str) -> bool:
        """Ends."""
        self.ended = True
        return True


SHORT = {"n": "next", "b": "back", "g": "goto", "s": "state", "d": "diff", "e": "events", "c": "continue", "q": "quit"}
OTHERWISE = {**SHORT, "forward": "next", "f": "next", "jump": "goto", "j": "goto"}


def whole(text: str) -> int | None:
    """A number, if it is one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def headline(entry: Any) -> str:
    """An event in one line."""
    return f"#{entry['position']}  {moment(entry['at'])}  {entry['topic']}  {entry['summary']}, by {entry['actor']}"
