"""Histories in files, for whoever decides them again: exports of all events, and bundles."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from entrypoints.cli.failures import misuse

if TYPE_CHECKING:
    from datetime import datetime

    from application.redecisions import Difference
    from application.rule_changes import RuleChanges
    from domain.reference import Ago, Moment


class History(Protocol):
    """What was recorded, in a file."""

    def span(self) -> tuple[int, int | None]:
        """The first and the last position that can be decided again; None is the end of the file."""

    def moments(self) -> "Iterator[tuple[int, datetime]]":
        """Positions, each with when it was recorded."""

    def decide(self, changes: "RuleChanges", first: int, last: int) -> "list[Difference]":
        """The differences between two positions."""


@dataclass(frozen=True, slots=True)
class Export:
    """All events of an organisation from the first one on, a line each."""

    path: Path

    def span(self) -> tuple[int, int | None]:
        """All of it."""
        return 1, None

    def moments(self) -> "Iterator[tuple[int, datetime]]":
        """When each event was recorded."""
        from adapters.exported_events import numbered

        with read(self.path) as lines:
            for _, event in numbered(lines):
                yield event.position, event.recorded_at

    def decide(self, changes: "RuleChanges", first: int, last: int) -> "list[Difference]":
        """By the whole history, which is counted."""
        from adapters.exported_events import told
        from application.redeciding import redecide

        with read(self.path) as lines:
            return list(redecide(changes, told(lines), first, last))


@dataclass(frozen=True, slots=True)
class BundleFile:
    """The streams that a span touches, from their beginning."""

    path: Path

    def span(self) -> tuple[int, int | None]:
        """What the bundle is of."""
        with unpacked(self.path) as bundle:
            return bundle.manifest.from_position + 1, bundle.manifest.to_position

    def moments(self) -> "Iterator[tuple[int, datetime]]":
        """When each commit of the span ended."""
        from adapters.bundles.history import moments

        with unpacked(self.path) as bundle:
            yield from moments(bundle)

    def decide(self, changes: "RuleChanges", first: int, last: int) -> "list[Difference]":
        """By whole streams: a decision rests on nothing but those that it touches, and on freezes and rules."""
        from adapters.bundles.history import told
        from application.redeciding import by_stream, redecide

        with unpacked(self.path) as bundle:
            return list(redecide(changes, told(bundle), first, last, by_stream))


def last_by(history: History, when: "Moment | Ago") -> int:
    """The last position that was there then; so long ago is before the last one of the history."""
    from domain.reference import Moment

    if isinstance(when, Moment):
        return max((position for position, at in history.moments() if at <= when.at), default=0)
    latest = max((at for _, at in history.moments()), default=None)
    return max((position for position, at in history.moments() if latest and at <= latest - when.length), default=0)


@contextmanager
def read(file: Path) -> Iterator[Any]:
    """The lines of a file; a Failure where it cannot be read."""
    try:
        with file.open("rb") as opened:
            yield opened
    except OSError as fault:
        raise misuse(f"{file} cannot be read: {fault.strerror}") from None


@contextmanager
def unpacked(file: Path) -> Iterator[Any]:
    """The bundle in a file; a Failure where it cannot be read."""
    from adapters.bundles.reading import opened

    try:
        with opened(file) as bundle:
            yield bundle
    except OSError as fault:
        raise misuse(f"{file} cannot be read: {fault.strerror}") from None
