"""The queue as a simple model: lists and loops, no events, no indexes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

RAN = ("in_progress", "deployed", "failed", "rolled_back")


class Clock:
    """The time by which leases and freezes end; it only moves when told."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Known:
    """One deployment as it should be."""

    id: str
    lane: str | None
    number: int
    version: str
    environment: str
    trigger: str
    status: str = "scheduled"
    approved: bool = False
    claimed_by: str | None = None
    fence: int = 0
    expires: datetime | None = None
    skipped_by: str | None = None

    def becomes(self, status: str) -> None:
        """Whatever it was, that is over."""
        self.status, self.claimed_by, self.expires, self.skipped_by = status, None, None, None

    def shown(self) -> dict[str, Any]:
        """What the API should tell of it."""
        names = ("id", "version", "environment", "trigger", "status", "approved", "claimed_by", "skipped_by")
        return {name: getattr(self, name) for name in names}


@dataclass
class Model:
    """All deployments of one organisation, in lanes that are told apart by their cell."""

    now: datetime
    deployments: list[Known] = field(default_factory=list)
    held: dict[str | None, Known] = field(default_factory=dict)
    freezes: dict[str, tuple[dict[str, str], datetime | None]] = field(default_factory=dict)
    needs_approval: bool = False

    def add(self, answer: dict[str, Any]) -> Known:
        """A deployment that the API says was made."""
        names = ("id", "version", "environment", "trigger", "status")
        number = len(self.deployments) + 1
        known = Known(lane=answer["cell"], number=number, **{name: answer[name] for name in names})
        self.deployments.append(known)
        return known

    def lane(self, cell: str | None) -> Iterator[Known]:
        """A lane's deployments, newest first."""
        return (d for d in reversed(self.deployments) if d.lane == cell)

    def next_in(self, cell: str | None) -> Known | None:
        """What a runner should get of this lane, were nothing frozen."""
        if any(d.status == "in_progress" for d in self.lane(cell)):
            return None
        able = [d for d in self.lane(cell) if d.status == "scheduled" and self.may_start(d)]
        return next((d for d in able if d.trigger == "rollback"), able[0] if able else None)

    def may_start(self, one: Known) -> bool:
        """Neither held back after a rollback nor waiting for an approval."""
        hold = self.held.get(one.lane)
        if hold and one.trigger == "auto" and (one.number <= hold.number or one.version == hold.version):
            return False
        waits = self.needs_approval and one.environment == "production" and not one.approved
        return not (waits and one.trigger == "manual")

    def frozen(self, cell: str | None, environment: str) -> bool:
        """Whether a freeze that is in force covers this."""
        facts = {"cell": cell, "environment": environment}
        return any(
            all(facts[name] == wanted for name, wanted in scope.items())
            for scope, until in self.freezes.values()
            if until is None or until > self.now
        )

    def claim(self, cells: list[str | None], override: bool) -> Known | int:
        """What a runner should get of these lanes, or the status of the answer that it should get."""
        refused = False
        for cell in cells:
            if one := self.next_in(cell):
                if override or not self.frozen(cell, one.environment):
                    return one
                refused = True
        return 423 if refused else 204

    def take(self, one: Known, runner: str, expires: datetime) -> None:
        """It runs, and what is automatic and older is superseded."""
        one.becomes("in_progress")
        one.claimed_by, one.fence, one.expires = runner, one.fence + 1, expires
        self.supersede(one, automatic_only=True)

    def supersede(self, by: Known, automatic_only: bool = False) -> None:
        """Older ones that wait in its lane will not run."""
        for one in self.lane(by.lane):
            older = one.number < by.number and one.status == "scheduled"
            if older and (one.trigger == "auto" or not automatic_only):
                one.becomes("skipped")
                one.skipped_by = by.id

    def lapse(self) -> None:
        """Claims end whose time is over."""
        for one in self.deployments:
            if one.expires and one.expires < self.now:
                one.becomes("scheduled")

    def current(self, cell: str | None) -> Known | None:
        """The newest that ran or tried to."""
        return next((d for d in self.lane(cell) if d.status in RAN), None)

    def source(self, cell: str | None, other_than: Known | None, version: str | None) -> Known | None:
        """The newest that is live, other than one."""
        live = (d for d in self.lane(cell) if d.status == "deployed" and d is not other_than)
        return next((d for d in live if version in (None, d.version)), None)
