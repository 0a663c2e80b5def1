"""What stands in the way of a start: freezes and the rules of the organisation, read as guards of the append."""

from datetime import datetime

from application.execution import Work
from domain.errors import Frozen
from domain.freezes import Freezes
from domain.rules import HouseRules, Rules
from domain.taxonomy import Taxonomy

LENIENT = HouseRules()


async def house_rules(work: Work) -> HouseRules:
    """The rules in force; the append fails when they change before it."""
    rules = await work.watch(Rules, Rules.id_of(work.organisation))
    return rules.rules if rules else LENIENT


async def check_freeze(work: Work, taxonomy: Taxonomy, environment: str, override: str | None) -> None:
    """Refuses a start that a freeze covers, unless a reason overrides it."""
    freezes = await work.watch(Freezes, Freezes.id_of(work.organisation))
    if refusal := frozen_by(freezes, taxonomy, environment, work.now, override):
        raise refusal


def frozen_by(
    freezes: Freezes | None, taxonomy: Taxonomy, environment: str, now: datetime, override: str | None
) -> Frozen | None:
    """The refusal, when a freeze covers this and nobody overrides it."""
    freeze = freezes.covering(taxonomy, environment, now) if freezes else None
    if freeze is None or override:
        return None
    return Frozen(f"Frozen: {freeze.reason}", freeze_id=freeze.id, who=freeze.by, why=freeze.reason, until=freeze.until)
