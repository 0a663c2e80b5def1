"""In which order the tables of a package are read and written, in every kind of database."""

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from domain.dataset import ForeignKey


def ordered(names: Sequence[str], keys: Sequence[ForeignKey]) -> list[str]:
    """Parents before children; tables in a cycle in the order of their names' mention."""
    graph = {
        name: {k.referenced_table for k in keys if k.table == name and k.referenced_table in names} - {name}
        for name in names
    }
    while True:
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as cycle:
            first, second = cycle.args[1][:2]
            graph[second].discard(first)
