"""Other rules than those that were in force, for deciding a past again."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from domain.freezes import Freeze, Scope
from domain.lane_rules import HoldBy, SkipBy
from domain.rules import ApprovalRule, HouseRules


@dataclass(frozen=True, slots=True)
class Window:
    """From one moment up to, not including, another; None is without end."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Whether the moment is in it."""
        return (self.since is None or self.since <= now) and (self.until is None or now < self.until)


@dataclass(frozen=True, slots=True)
class AddedFreeze:
    """A freeze that nobody declared."""

    freeze: Freeze
    window: Window


@dataclass(frozen=True, slots=True)
class RemovedFreezes:
    """Recorded freezes that do not count: the one with this id, those of exactly this scope, or all; for a while."""

    id: str | None = None
    scope: Scope | None = None
    window: Window = Window()

    def takes_away(self, freeze: Freeze, now: datetime) -> bool:
        """Whether this freeze does not count now."""
        named = self.id in (None, freeze.id) and self.scope in (None, freeze.scope)
        return named and self.window.holds(now)


@dataclass(frozen=True, slots=True)
class RuleChanges:
    """What is other than it was; without anything said all is as it was."""

    skip_by: SkipBy = SkipBy.AGE
    hold_by: HoldBy = HoldBy.EITHER
    strict_transitions: bool | None = None
    freezes_added: tuple[AddedFreeze, ...] = ()
    freezes_removed: tuple[RemovedFreezes, ...] = ()
    approval_added: tuple[ApprovalRule, ...] = ()
    approval_removed: tuple[Scope | None, ...] = ()

    def house(self, rules: HouseRules) -> HouseRules:
        """The rules of the organisation as they would have been; None among the removed ones is all of them."""
        gone = self.approval_removed
        kept = () if None in gone else tuple(rule for rule in rules.approval if rule.scope not in gone)
        strict = rules.strict_transitions if self.strict_transitions is None else self.strict_transitions
        return replace(rules, approval=(*kept, *self.approval_added), strict_transitions=strict)

    def freezes(self, declared: Iterable[Freeze], now: datetime) -> list[Freeze]:
        """The freezes that would have counted."""
        kept = [f for f in declared if not any(one.takes_away(f, now) for one in self.freezes_removed)]
        return [*kept, *(one.freeze for one in self.freezes_added if one.window.holds(now))]


UNCHANGED = RuleChanges()
