"""Marks what callers keep and bring back with its epoch: in another one the same numbers mean something else."""

import re

from domain.errors import Invalid
from entrypoints.http.routing import Call

FIRST = 1
NUMBER = re.compile("[1-9][0-9]*")


def epoch_of(call: Call) -> int:
    """The store's epoch, as this process knows it."""
    return int(call.app.identity[1])


def marked(call: Call, text: str) -> str:
    """The text as the caller keeps it. In a store that was never restored it needs no mark."""
    return text + mark_of(epoch_of(call))


def mark_of(epoch: int) -> str:
    """What stands behind a text of this epoch."""
    return "" if epoch == FIRST else f".{epoch}"


def unmarked(call: Call, text: str) -> str | None:
    """What was marked in this epoch; None when it is of another one."""
    plain, _, mark = text.partition(".")
    return plain if mark == ("" if epoch_of(call) == FIRST else str(epoch_of(call))) else None


def refuse_other_epoch(call: Call, positioned: bool) -> None:
    """Refuses who asks for a position of another epoch than this one; without a position any epoch will do."""
    wanted = call.headers.get("x-rollbook-epoch")
    if wanted is not None and not NUMBER.fullmatch(wanted):
        raise Invalid("X-Rollbook-Epoch is not a number")
    if positioned and wanted is not None and wanted != str(epoch_of(call)):
        raise Invalid(f"This is epoch {epoch_of(call)} of the store: what was positioned in another one is no more")


def fences_above(call: Call) -> int:
    """What claims of this epoch are fenced beyond, as a runner may still hold one that a restore has undone.

    An epoch is the minute that it began in, or later, so it is beyond what anybody could have counted to before.
    """
    return epoch_of(call) - FIRST
