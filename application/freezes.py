"""Declaring and lifting freezes."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from application.execution import Work
from domain.errors import Invalid, NotFound
from domain.freezes import Freeze, Freezes, Scope


@dataclass(frozen=True, slots=True)
class DeclareFreeze:
    """Let nothing new start in a scope, until a moment or until it is lifted."""

    scope: Scope
    reason: str
    until: datetime | None = None
    freeze_id: str = field(default_factory=lambda: str(uuid4()))


@dataclass(frozen=True, slots=True)
class LiftFreeze:
    """End a freeze before its time."""

    freeze_id: str
    reason: str | None = None


async def declare_freeze(work: Work, command: DeclareFreeze) -> str:
    """Answers the new freeze's id."""
    freezes = await work.load(Freezes, Freezes.id_of(work.organisation))
    if command.until is not None and command.until <= work.now:
        raise Invalid("until is in the past")
    if freezes is None:
        freezes = Freezes.open(work.organisation, work.now)
        work.add(freezes)
    until = command.until.isoformat() if command.until else None
    freezes.declare(Freeze(command.freeze_id, command.scope, command.reason, until, work.actor), work.now)
    return command.freeze_id


async def lift_freeze(work: Work, command: LiftFreeze) -> str:
    """Answers the freeze's id."""
    freezes = await work.load(Freezes, Freezes.id_of(work.organisation))
    if freezes is None:
        raise NotFound("Freeze not found")
    freezes.lift(command.freeze_id, command.reason, work.now)
    return command.freeze_id
