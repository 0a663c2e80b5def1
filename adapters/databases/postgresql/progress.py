"""How far the rows of a table have come: half of the way is into the stage, half is into the table."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from application.ports.databases import Lines, Report


@dataclass(slots=True)
class Telling:
    """Reports of each row once, in steps that a progress bar can follow; `noted` is their SHA-256 where it is known."""

    report: Report
    name: str
    rows: int = 0
    told: int = 0
    noted: str | None = None
    sha256: Any = field(default_factory=sha256)

    def read(self, lines: Lines) -> None:
        """More rows are in the stage."""
        if self.noted is None:
            self.sha256.update(b"\n".join([*lines, b""]))
        self.rows += len(lines)
        self.reach(self.rows // 2)

    @property
    def digest(self) -> str:
        """SHA-256 of the lines, each with its line end."""
        return self.noted or str(self.sha256.hexdigest())

    def wrote(self, share: float) -> None:
        """A share of the rows is in the table."""
        self.reach(self.rows // 2 + int((self.rows - self.rows // 2) * share))

    def reach(self, rows: int) -> None:
        """Tells what is new."""
        if rows > self.told:
            self.report(self.name, rows - self.told)
            self.told = rows
