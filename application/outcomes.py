"""What a deployment or a rollback did, as the log keeps it for ever: counts, and a few keys; no rows."""

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any

from application.handlers import Attempt, log_facts
from application.ports.databases import Outcome
from domain.errors import Invalid
from domain.manifest import Manifest

KEYS_OF_A_TABLE = 1000
BYTES_OF_KEYS = 50_000
# An event is limited, and every table is in it three times: with its counts, its keys and their number.
BYTES_OF_COUNTS = 150_000
BYTES_OF_ONE_COUNT = 90
WARNINGS = 100
KINDS = ("new", "changed", "same", "failed")


def refuse_too_many(manifest: Manifest) -> None:
    """Invalid before anything is written, where what was done could not be recorded afterwards."""
    size = sum(3 * len(json.dumps(name)) + BYTES_OF_ONE_COUNT for name in manifest.records)
    if size > BYTES_OF_COUNTS:
        raise Invalid("The package has more tables than one deployment can tell of: divide it")


def told(database_name: str, outcome: Outcome) -> dict[str, Any]:
    """A deployment as its event tells it. `mapped` has each table whose keys are others in the target, however many of
    them are in `keys`."""
    return {
        "database_name": database_name,
        "tables": counted(outcome),
        "keys": some_keys(outcome.keys),
        "mapped": {name: succeeded(outcome, name) for name in outcome.keys},
        "warnings": warnings_of(outcome),
    }


def warnings_of(outcome: Outcome) -> list[str]:
    """Which tables lack rows."""
    lacking = [(name, table.failed) for name, table in outcome.tables.items() if table.failed]
    found = [f"{n} rows of {name} were left out: the log of the job lists them" for name, n in lacking[:WARNINGS]]
    return [*found, f"{len(lacking) - WARNINGS} more tables lack rows"] if len(lacking) > WARNINGS else found


def counted(outcome: Outcome) -> dict[str, dict[str, int]]:
    """Rows by table and by what became of them."""
    return {name: {kind: getattr(table, kind) for kind in KINDS} for name, table in outcome.tables.items()}


def succeeded(outcome: Outcome, name: str) -> int:
    """How many rows of a table are in the target, each of which has a key there."""
    table = outcome.tables[name]
    return table.new + table.changed + table.same


def some_keys(keys: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """The first keys of each table, as far as there is room for them."""
    room = BYTES_OF_KEYS
    found: dict[str, dict[str, str]] = {}
    for table, pairs in keys.items():
        found[table] = {}
        for source, target in islice(pairs.items(), KEYS_OF_A_TABLE):
            room -= len(json.dumps(source)) + len(json.dumps(target)) + 2
            if room < 0:
                break
            found[table][source] = target
    return found


def log_outcome(attempt: Attempt, outcome: Outcome) -> None:
    """Tells what became of each table, and lists the rows that were left out, where lines can be forgotten."""
    for name, counts in counted(outcome).items():
        log_facts(attempt, table=name, **counts)
        table = outcome.tables[name]
        for failure in table.failures:
            log_facts(attempt, table=name, **failure)
        if (unlisted := table.failed - len(table.failures)) > 0:
            log_facts(attempt, table=name, more=unlisted)
