"""Outcomes of deployments as the texts that targets of every kind keep of them."""

import orjson

from application.ports.databases import Outcome, TableOutcome


def told(outcome: Outcome) -> str:
    """An outcome as text."""
    return orjson.dumps({"tables": dict(outcome.tables), "keys": outcome.keys}).decode()


def read(text: str) -> Outcome:
    """An outcome from its text; it is of a deployment that was made before."""
    found = orjson.loads(text)
    tables = {n: TableOutcome(**{**one, "failures": tuple(one["failures"])}) for n, one in found["tables"].items()}
    return Outcome(tables, found["keys"], repeated=True)
