"""Which packages must be in an environment before one that depends on them, and in which order they go there."""

from graphlib import CycleError, TopologicalSorter
from uuid import UUID

from application.execution import Work
from domain.errors import Clash, Invalid, NotFound
from domain.package import Package

MOST_PACKAGES = 100


async def in_order(work: Work, package: Package) -> list[Package]:
    """The package behind everything that it depends on, directly or not, each behind what it depends on itself.

    NotFound names what is not there, Clash those that depend on each other in a circle.
    """
    known = await reachable(work, package)
    if len(known) > MOST_PACKAGES:
        raise Invalid(f"The package depends on more than {MOST_PACKAGES - 1} others")
    try:
        order = list(TopologicalSorter({one.id: needs(one) for one in known.values()}).static_order())
    except CycleError as cycle:
        names = " -> ".join(f"pkg-{one}" for one in cycle.args[1])
        raise Clash(f"Packages depend on each other in a circle: {names}") from None
    for one in order:
        if one not in known:
            raise NotFound(f"The package depends on pkg-{one}, which does not exist")
    return [known[one] for one in order]


async def reachable(work: Work, package: Package) -> dict[UUID, Package]:
    """The package and whatever exists of what it depends on; no more is looked for when there are too many."""
    known = {package.id: package}
    missing = set(needs(package))
    while missing and len(known) <= MOST_PACKAGES:
        found = await work.load_all(Package, sorted(missing))
        known |= found
        missing = {one for package in found.values() for one in needs(package)} - known.keys()
    return known


def needs(package: Package) -> list[UUID]:
    """What it depends on directly."""
    return [UUID(one) for one in package.dependencies]
