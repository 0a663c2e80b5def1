"""The queue as its guide and contract describe it: rows in a list, nothing else. It knows none of our code."""

from dataclasses import dataclass, field

RAN = ("in_progress", "deployed", "failed", "rolled_back")


@dataclass
class Row:
    """A deployment; `at` is its place in order of creation."""

    id: str
    at: int
    lane: int
    version: str
    environment: str
    trigger: str
    status: str = "scheduled"
    approved: bool = False
    claimed: bool = False
    claims: int = 0
    went_live: bool = False


@dataclass
class Oracle:
    """Every row, newest last; answers an id, nothing, or the kind of a refusal."""

    rows: list[Row] = field(default_factory=list)
    asked: dict[int, Row] = field(default_factory=dict)
    holds: dict[int, tuple[str, int]] = field(default_factory=dict)
    frozen: set[int] = field(default_factory=set)
    approvals: bool = False

    def statuses(self) -> dict[str, str]:
        """What a list of all deployments would show."""
        return {row.id: row.status for row in self.rows}

    def add(self, lane: int, version: str, environment: str, trigger: str, number: int, new_id: str) -> Row:
        """A new row, the newest."""
        row = Row(new_id, len(self.rows), lane, version, environment, trigger)
        self.rows.append(row)
        self.asked[number] = row
        return row

    def newest_first(self, lane: int) -> list[Row]:
        """The rows of a taxonomy."""
        return [row for row in reversed(self.rows) if row.lane == lane]

    def report(self, target: int, status: str) -> str:
        """Any status may follow any other; a deployed one skips what was created before and still waits."""
        if (row := self.asked.get(target)) is None:
            return "NotFound"
        if status == "in_progress" and row.lane in self.frozen:
            return "Frozen"
        row.status, row.claimed = status, False
        if status == "deployed":
            row.went_live = True
            self.skip_older(row, ("auto", "manual", "rollback"))
        return row.id

    def skip_older(self, than: Row, triggers: tuple[str, ...]) -> None:
        """Rows of the same taxonomy that are scheduled and were created strictly earlier."""
        for row in self.newest_first(than.lane):
            if row.at < than.at and row.status == "scheduled" and row.trigger in triggers:
                row.status = "skipped"

    def source(self, lane: int, other: Row | None, version: str | None, environment: str | None) -> Row | None:
        """The newest other deployment whose status is deployed now, of that version and environment if named."""
        for row in self.newest_first(lane):
            if row.status != "deployed" or row is other:
                continue
            if version in (None, row.version) and environment in (None, row.environment):
                return row
        return None

    def roll_back_lane(self, lane: int, version: str | None, environment: str | None, number: int, new_id: str) -> str:
        """Queues the source again and holds what was rolled back from."""
        ran = [r for r in self.newest_first(lane) if r.status in RAN and environment in (None, r.environment)]
        current = ran[0] if ran else None
        if (source := self.source(lane, current, version, environment)) is None:
            return "NotFound"
        self.add(lane, source.version, source.environment, "rollback", number, new_id)
        if current:
            self.holds[lane] = (current.version, current.at)
        return new_id

    def roll_back(self, target: int, version: str | None, number: int, new_id: str) -> str:
        """The row becomes rolled_back; the source runs again at once."""
        replaced = self.asked.get(target)
        source = self.source(replaced.lane, replaced, version, None) if replaced else None
        if replaced is None or source is None:
            return "NotFound"
        if replaced.lane in self.frozen:
            return "Frozen"
        self.add(replaced.lane, source.version, source.environment, "rollback", number, new_id).status = "in_progress"
        replaced.status, replaced.claimed = "rolled_back", False
        self.holds[replaced.lane] = (replaced.version, replaced.at)
        return new_id

    def may_start(self, row: Row) -> bool:
        """Manual rows may need an approval; automatic ones of the held version or older wait."""
        if row.trigger == "manual":
            return row.approved or not self.approvals or row.environment != "production"
        if row.trigger == "auto" and row.lane in self.holds:
            version, at = self.holds[row.lane]
            return row.version != version and row.at > at
        return True

    def claim(self, lane: int) -> str:
        """One in progress per lane; a queued rollback first, else the newest that may start."""
        rows = self.newest_first(lane)
        able = [row for row in rows if row.status == "scheduled" and self.may_start(row)]
        if not able or any(row.status == "in_progress" for row in rows):
            return ""
        if lane in self.frozen:
            return "Frozen"
        chosen = ([row for row in able if row.trigger == "rollback"] or able)[0]
        chosen.status, chosen.claimed = "in_progress", True
        chosen.claims += 1
        self.skip_older(chosen, ("auto",))
        return chosen.id

    def lapse(self, target: int, fence: int) -> str:
        """A dead runner's claim returns to the queue; a claim that is over does not."""
        if (row := self.asked.get(target)) is None:
            return "NotFound"
        if not row.claimed or row.claims != fence:
            return "LeaseLost"
        row.status, row.claimed = "scheduled", False
        return row.id

    def approve(self, target: int) -> str:
        """Only what waits can be approved."""
        if (row := self.asked.get(target)) is None:
            return "NotFound"
        if row.status != "scheduled":
            return "Clash"
        row.approved = True
        return row.id

    def correct(self, target: int) -> str:
        """Only of what went live it can be said that it did so at another moment."""
        if (row := self.asked.get(target)) is None:
            return "NotFound"
        return row.id if row.went_live else "Clash"

    def release(self, lane: int) -> str | None:
        """Ends a hold, if there is one."""
        return None if self.holds.pop(lane, None) else "NotFound"
