"""Reads the file that says which rules are tried on the past: YAML or JSON."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal
from uuid import uuid5

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from application.rule_changes import AddedFreeze, RemovedFreezes, RuleChanges, Window
from domain.freezes import FREEZES, Freeze, Scope
from domain.lane_rules import HoldBy, SkipBy
from domain.rules import ApprovalRule

MOST_BYTES = 1 << 20
NOBODY = "nobody"


class Strict(BaseModel):
    """What is misspelt is refused: a rule that silently does nothing answers another question."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Covers(Strict):
    """A scope; what is left out agrees with everything."""

    name: str | None = None
    provider: str | None = None
    cloud_account_id: str | None = None
    region: str | None = None
    cell: str | None = None
    environment: str | None = None

    def scope(self) -> Scope:
        """As the domain has it."""
        return Scope(**self.model_dump())


class Between(Strict):
    """From one moment to another."""

    since: Annotated[AwareDatetime | None, Field(alias="from")] = None
    until: AwareDatetime | None = None

    def window(self) -> Window:
        """As the application has it."""
        return Window(utc(self.since), utc(self.until))


class NewFreeze(Between):
    """A freeze that nobody declared."""

    scope: Covers = Covers()
    reason: str = "a freeze of the rule file"


class GoneFreeze(Between):
    """A freeze that does not count: by id, or those of exactly this scope; `all: true` is every one."""

    id: str | None = None
    scope: Covers | None = None
    all: Literal[True] | None = None

    @model_validator(mode="after")
    def names_something(self) -> "GoneFreeze":
        """One of the three."""
        if sum(one is not None for one in (self.id, self.scope, self.all)) != 1:
            raise ValueError("give one of id, scope and all")
        return self


class Freezes(Strict):
    """Freezes that are added and removed."""

    add: list[NewFreeze] = []
    remove: list[GoneFreeze] = []


class NewApproval(Strict):
    """Manual deployments in this scope need an approval."""

    scope: Covers = Covers()


class GoneApproval(Strict):
    """The approval rules of exactly this scope do not count; `all: true` is every one."""

    scope: Covers | None = None
    all: Literal[True] | None = None

    @model_validator(mode="after")
    def names_something(self) -> "GoneApproval":
        """One of the two."""
        if (self.scope is None) == (self.all is None):
            raise ValueError("give one of scope and all")
        return self


class Approval(Strict):
    """Approval rules that are added and removed."""

    add: list[NewApproval] = []
    remove: list[GoneApproval] = []


class SkipRule(Strict):
    """Who leaves the queue."""

    by: SkipBy


class HoldRule(Strict):
    """What a rollback holds back."""

    by: HoldBy


class RuleFile(Strict):
    """All that may be other than it was."""

    auto_skip: SkipRule | None = None
    hold: HoldRule | None = None
    strict_transitions: bool | None = None
    freezes: Freezes = Freezes()
    approval: Approval = Approval()

    def changes(self) -> RuleChanges:
        """As the application has it."""
        return RuleChanges(
            skip_by=self.auto_skip.by if self.auto_skip else SkipBy.AGE,
            hold_by=self.hold.by if self.hold else HoldBy.EITHER,
            strict_transitions=self.strict_transitions,
            freezes_added=tuple(added(number, one) for number, one in enumerate(self.freezes.add, 1)),
            freezes_removed=tuple(removed(one) for one in self.freezes.remove),
            approval_added=tuple(ApprovalRule(one.scope.scope()) for one in self.approval.add),
            approval_removed=tuple(one.scope.scope() if one.scope else None for one in self.approval.remove),
        )


def added(number: int, one: NewFreeze) -> AddedFreeze:
    """A freeze with an id that is always the same for the same place in the file."""
    window, named = one.window(), str(uuid5(FREEZES, f"rule file {number}"))
    until = window.until.isoformat() if window.until else None
    return AddedFreeze(Freeze(named, one.scope.scope(), one.reason, until, NOBODY), window)


def removed(one: GoneFreeze) -> RemovedFreezes:
    """As the application has it."""
    return RemovedFreezes(one.id, one.scope.scope() if one.scope else None, one.window())


def utc(moment: datetime | None) -> datetime | None:
    """In UTC."""
    return moment.astimezone(UTC) if moment else None


def read_rules(path: Path) -> RuleChanges:
    """What the file says; ValueError, on one line, when it cannot be used."""
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
    except OSError as fault:
        raise ValueError(f"{path} cannot be read: {fault.strerror}") from None
    if len(text) > MOST_BYTES:
        raise ValueError(f"{path} is larger than {MOST_BYTES} bytes")
    try:
        return RuleFile.model_validate(yaml.safe_load(text) or {}).changes()
    except ValidationError as fault:
        first = fault.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ValueError(f"{path}: {place}: {first['msg']}") from None
    except (yaml.YAMLError, OverflowError, RecursionError):
        raise ValueError(f"{path}: this is neither YAML nor JSON") from None
    except ValueError as fault:
        raise ValueError(f"{path}: {fault}") from None
