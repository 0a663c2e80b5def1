"""The conditions that a request states, one a table: to say nothing is not to say something empty."""

from collections.abc import Mapping
from typing import Any

from domain.errors import Invalid


def stated(where: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are stated: null states none. Invalid names the table of one that says nothing, which may be a slip
    and must not mean everything; of documents `{}` means all of them."""
    for name, said in where.items():
        if (isinstance(said, str) and not said.strip()) or said == []:
            raise Invalid(f"where_clause of '{name[:255]}' is empty: leave the name out for all that is there")
    return {name: said for name, said in where.items() if said is not None}
