"""`rollbook demo`: a month of a busy fleet, to try everything on."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.cli.output import note, print_json, safe
from entrypoints.cli.session import group

if TYPE_CHECKING:
    from entrypoints.demo.month import Month

commands = group()


@commands.command("demo")
def demo(
    organisation: Annotated[
        str | None, typer.Option(help="Whose fleet it is; otherwise DEV_ORGANISATION, that of nobody in particular.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same number tells the same month.")] = 1,
    days: Annotated[int, typer.Option(min=2, max=90, help="How long it goes back.")] = 30,
    components: Annotated[int, typer.Option(min=2, max=400, help="How many components.")] = 200,
    environments: Annotated[int, typer.Option(min=2, max=5, help="How many environments.")] = 5,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fill an EMPTY store with a month of a busy fleet that never was: failures, rollbacks, freezes, an incident.

    It takes the database of DATABASE_OWNER_URL, else the one in DATA_DIR, which must not run; then start `rollbook up`.

    Example: DATA_DIR=demo-data rollbook demo && DATA_DIR=demo-data AUTH_ENABLED=false rollbook up
    """
    from domain.errors import Clash
    from entrypoints.cli.backups import phases, run
    from entrypoints.cli.failures import Exit, Failure
    from entrypoints.demo.loading import Wish, show

    async def work(settings: Any) -> "Month":
        whose = organisation or settings.dev_organisation
        with phases(json) as phase:
            wish = Wish(whose, seed, days, components, environments)
            try:
                return await show(settings, wish, phase)
            except Clash as refusal:
                raise Failure(refusal.message, Exit.REFUSED, refusal.code) from None

    tell(run(work), json)


def tell(played: "Month", as_json: bool) -> None:
    """What there is now, and how to begin."""
    facts = described(played)
    if as_json:
        print_json(facts)
        return
    note(safe(f"{facts['events']} events of {facts['organisation']}, up to {facts['until']}"))
    print(safe(f"At {facts['incident_at']} customers could not pay. Start `rollbook up`, and elsewhere find out:"))
    print(safe(f"  BEFORE={facts['an_hour_before']} MOMENT={facts['incident_at']}"))
    for command in facts["begin_with"]:
        print(safe(f"  {command}"))


def described(played: "Month") -> dict[str, Any]:
    """The moment that everything is about, and three commands."""
    trouble, story = played.trouble, played.trouble.story
    began, before = moment(trouble.began), moment(trouble.began - timedelta(hours=1))
    return {
        "organisation": story.cast.organisation,
        "events": len(played.stage.ledger.rows),
        "from": moment(story.begin),
        "until": moment(story.until),
        "incident_at": began,
        "an_hour_before": before,
        "component": trouble.culprit.taxonomy.name,
        "caused_by": trouble.culprit.id,
        "fixed_by": trouble.back,
        "begin_with": [
            f"rollbook diff {before} {began} --environment {story.cast.environments[-1]}",
            f"rollbook fleet --as-of {began} --name {trouble.culprit.taxonomy.name}",
            f"rollbook why {trouble.culprit.id}",
        ],
    }


def moment(at: Any) -> str:
    """A moment as every command takes it."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
