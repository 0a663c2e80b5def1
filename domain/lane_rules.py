"""What a lane knows of a deployment, and by which rules it decides: who skips whom, what a rollback holds back."""

import re
from dataclasses import dataclass
from enum import StrEnum

from domain.status import Status, Trigger


class SkipBy(StrEnum):
    """Which of those that wait leave the queue for another: what came before it, what is of an older version, none."""

    AGE = "age"
    VERSION = "version"
    NEVER = "never"


class HoldBy(StrEnum):
    """What a hold keeps back: what came before the one that was rolled back, what is of its version, either, none."""

    EITHER = "either"
    AGE = "age"
    VERSION = "version"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the lane knows of one deployment; `number` is its place in order of arrival."""

    deployment_id: str
    number: int
    version: str
    environment: str
    auto: bool
    trigger: Trigger
    status: Status
    approved: bool = False

    def is_overtaken(self, by: "Entry", skip_by: SkipBy) -> bool:
        """Whether it would leave the queue for `by`; where versions cannot be told apart, age decides."""
        if skip_by is SkipBy.NEVER or self.number == by.number:
            return False
        order = version_order(self.version, by.version) if skip_by is SkipBy.VERSION else 0
        return self.number < by.number if order == 0 else order < 0


@dataclass(frozen=True, slots=True)
class Hold:
    """After a rollback: automatic deployments of `version`, or with a number up to `number`, wait."""

    version: str
    number: int
    deployment_id: str

    def covers(self, entry: Entry, by: HoldBy = HoldBy.EITHER) -> bool:
        """Whether the hold keeps this deployment back."""
        aged = by in (HoldBy.EITHER, HoldBy.AGE) and entry.number <= self.number
        same = by in (HoldBy.EITHER, HoldBy.VERSION) and entry.version == self.version
        return entry.trigger is Trigger.AUTO and (aged or same)


SEMANTIC = re.compile(r"v?(\d{1,9}(?:\.\d{1,9}){0,3})(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?", re.ASCII)


def version_order(one: str, other: str) -> int:
    """-1 when `one` is the older semantic version, 1 when it is the newer; 0 when neither, or nobody can tell."""
    ours, theirs = precedence(one), precedence(other)
    if ours is None or theirs is None or ours == theirs:
        return 0
    return -1 if ours < theirs else 1


def precedence(version: str) -> tuple[list[int], list[tuple[int, int, str]]] | None:
    """What semantic versions are compared by, None for another text. A pre-release comes before its release."""
    if (found := SEMANTIC.fullmatch(version)) is None:
        return None
    numbers = [int(part) for part in found[1].split(".")]
    marks = [(0, int(m), "") if m.isdigit() and len(m) < 20 else (1, 0, m) for m in (found[2] or "").split(".")]
    return numbers + [0] * (4 - len(numbers)), marks if found[2] else [(2, 0, "")]
