"""What must hold before the first document is written: references lead somewhere, documents that exist may be there."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.databases.mongodb.classifying import Classifier, Item
from adapters.databases.mongodb.fitting import Part
from application.ports.databases import DeployOptions
from domain.errors import Clash, Invalid

NAMED = 10
MOST_FAILURES = 10_000


@dataclass(slots=True)
class Checked:
    """What was found, by collection."""

    missing: dict[str, list[str]] = field(default_factory=dict)
    drifted: dict[str, list[str]] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    lasting: bool = True


async def check(classifier: Classifier, parts: Mapping[str, Part], options: DeployOptions) -> Checked:
    """Looks at everything, again while that leaves documents out or brings them in; raises what stands in the way."""
    refuse_existing(classifier, parts, options)
    found = await look(classifier, parts, options)
    while not found.lasting:
        found = await look(classifier, parts, options)
    for name, missing in found.missing.items():
        shown = ", ".join(missing[:NAMED]) + (" and others" if len(missing) > NAMED else "")
        raise Invalid(f"Documents of {name} refer to what is missing: {shown}")
    for name, keys in found.drifted.items():
        raise Clash(
            f"{len(keys)} documents of {name} were changed in the target since this package was deployed there"
            f" ({', '.join(keys[:NAMED])}); force the deployment to overwrite them"
        )
    return found


async def look(classifier: Classifier, parts: Mapping[str, Part], options: DeployOptions) -> Checked:
    """Once through the package."""
    found = Checked()
    for part in parts.values():
        counts = found.counts[part.name] = {"new": 0, "changed": 0, "same": 0, "conflict": 0}
        async for items in classifier.batches(part):
            failed: dict[str, str] = {}
            for item in items:
                counts[item.kind] += 1
                weigh(classifier, part, item, options, found, failed)
            if classifier.staged.fail(part.name, failed):
                found.lasting = False
            refuse_many(classifier, part)
    return found


def weigh(
    classifier: Classifier, part: Part, item: Item, options: DeployOptions, found: Checked, failed: dict[str, str]
) -> None:
    """One document."""
    if item.wanted and options.create_missing:
        for name, key in item.wanted:
            found.lasting &= not classifier.staged.want(name, [key])
    elif item.lost:
        failed[item.key] = f"refers to a document that is left out: {item.lost[0]}"
    elif item.missing and options.validate_references and options.continue_on_error:
        failed[item.key] = f"refers to a document that is missing: {item.missing[0]}"
    elif item.missing and options.validate_references:
        found.missing.setdefault(part.name, []).extend(item.missing[: NAMED + 1])
    elif item.kind == "conflict":
        found.drifted.setdefault(part.name, []).append(item.source)


def refuse_existing(classifier: Classifier, parts: Mapping[str, Part], options: DeployOptions) -> None:
    """Documents that are there must be skipped or updated."""
    if options.skip_existing or options.update_existing:
        return
    problems = []
    for name in parts:
        number, keys = classifier.staged.existing(name, NAMED)
        if number:
            problems.append(f"{number} documents of {name} exist ({', '.join(keys)})")
    if problems:
        raise Clash(f"{'; '.join(problems)}; skip or update them")


def refuse_many(classifier: Classifier, part: Part) -> None:
    """With so many failures something else is wrong than documents."""
    number, told = classifier.staged.failures(part.name, 1)
    if number > MOST_FAILURES:
        raise Invalid(f"More than {MOST_FAILURES} documents of {part.name} fail; the first: {told[0]['reason']}")
