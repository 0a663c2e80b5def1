"""What the log keeps of a deployment is bounded, however large that is."""

import orjson
import pytest

from application.outcomes import refuse_too_many, some_keys, told
from application.ports.databases import Outcome, TableOutcome
from domain.dataset import DatabaseKind, Table
from domain.errors import Invalid
from domain.manifest import Manifest, PackedTable, Part


def test_what_an_event_holds_of_keys_is_bounded() -> None:
    keys = {name: {str(n): "k" * 100 for n in range(2000)} for name in ("a", "b")}
    told = some_keys(keys)
    assert 0 < len(told["a"]) < 1000
    assert told["b"] == {}
    assert len(some_keys({"a": {str(n): "1" for n in range(2000)}})["a"]) == 1000


def test_an_event_has_room_for_what_the_largest_deployment_did() -> None:
    names = [f"table_{n:04}" for n in range(1180)]
    refuse_too_many(empty(names))
    most = 2**31
    tables = {name: TableOutcome(most, most, most, most) for name in names}
    keys = {name: {"k" * 100 + str(n): "v" * 100 for n in range(100)} for name in names}
    assert len(orjson.dumps(told("shop", Outcome(tables, keys)))) < 256 * 1024 - 1000


def test_a_package_of_too_many_tables_is_refused_before_anything_is_written() -> None:
    refuse_too_many(empty([f"table_{n}" for n in range(1000)]))
    with pytest.raises(Invalid, match="divide it"):
        refuse_too_many(empty([f"table_{n}" for n in range(3000)]))


def empty(names: list[str]) -> Manifest:
    """A package of tables without rows."""
    part = Part("0" * 64, 0, 0, 0, "0" * 64)
    named = [PackedTable(name, Table(name, "public", ()), part) for name in names]
    return Manifest(DatabaseKind.POSTGRESQL, tuple(named))
