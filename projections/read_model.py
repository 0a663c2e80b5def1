"""What every read model declares: its name and version, its columns, and how an event changes a row."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Protocol

from domain.recorded import RecordedEvent

Row = dict[str, Any]
STILL = 9223372036854775807


class ReadModel(Protocol):
    """Rows are documents that remember: each change makes a new version, valid from one position to another.
    A row is made of the events of one stream.

    `aggregates` names those whose events concern it, so that no others are read when it is built for a long past.
    `columns` names the members of a document that queries filter or sort by, with their SQL types. They are
    kept beside the document. A new `version` is built beside the old one and replaces it.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    aggregates: ClassVar[tuple[str, ...]]
    columns: ClassVar[Mapping[str, str]]
    indexes: ClassVar[Mapping[str, str]]

    def key(self, event: RecordedEvent) -> str | None:
        """Which row the event changes, or None when it is not this read model's business; raises nothing."""
        ...

    def fold(self, row: Row | None, event: RecordedEvent, data: dict[str, Any]) -> Row | None:
        """The row after the event; `row` itself is never changed. `data` is the payload in its newest version."""
        ...


def table(model: ReadModel | type[ReadModel]) -> str:
    """The table that holds this version of a read model."""
    return f"{model.name}_v{model.version}"


def moment(at: datetime) -> str:
    """A moment as it is written everywhere: ISO 8601 in UTC with microseconds."""
    return at.isoformat(timespec="microseconds")
