"""A deployment's row as users of the deployment queue know it."""

from typing import Any

from projections.read_model import Row

INTERNAL = frozenset({"actor", "created_position", "number", "fence", "lease_until"})


def as_users_know_it(row: Row, created_by_actor: str) -> dict[str, Any]:
    """The members that the guide names, and ours behind them."""
    return {name: value for name, value in row.items() if name not in INTERNAL} | {"created_by_actor": created_by_actor}
