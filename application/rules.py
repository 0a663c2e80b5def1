"""Setting the rules of an organisation."""

from dataclasses import dataclass

from application.execution import Work
from domain.rules import HouseRules, Rules


@dataclass(frozen=True, slots=True)
class SetRules:
    """Replace all rules."""

    rules: HouseRules


async def set_rules(work: Work, command: SetRules) -> str:
    """Answers the id of the organisation's rules."""
    rules = await work.load(Rules, Rules.id_of(work.organisation))
    if rules is None:
        rules = Rules.open(work.organisation, work.now)
        work.add(rules)
    rules.set(command.rules, work.now)
    return str(rules.id)
