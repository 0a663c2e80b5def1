"""What a deployment would do to each collection, with some documents of each kind."""

from collections.abc import Mapping
from typing import Any

from adapters.databases.mongodb.classifying import Item
from adapters.databases.mongodb.deploying import Deployment
from adapters.databases.mongodb.fitting import Part
from adapters.databases.mongodb.merging import part_of, shape_of
from application.ports.databases import Difference

SAMPLES = 5


async def differences(deployment: Deployment) -> Mapping[str, Difference]:
    """By collection."""
    await deployment.prepare()
    return {name: await difference(deployment, part) for name, part in deployment.parts.items()}


async def difference(deployment: Deployment, part: Part) -> Difference:
    """Of one collection. A conflict is a document that the package would change, and somebody else did."""
    counts = {"new": 0, "changed": 0, "same": 0, "conflict": 0}
    samples: dict[str, list[Mapping[str, Any]]] = {}
    async for items in deployment.classifier(deployment.session).batches(part):
        for item in items:
            counts[item.kind] += 1
            if item.kind != "same" and len(found := samples.setdefault(item.kind, [])) < SAMPLES:
                found.append(sample(item))
    return Difference(**counts, samples=samples)


def sample(item: Item) -> Mapping[str, Any]:
    """One document: its id in the package, what it is there with the ids of the target, what it is in the target."""
    there = part_of(item.before, shape_of(item.document)) if item.before is not None else None
    return {"key": item.source, "package": item.document, "target": there}
