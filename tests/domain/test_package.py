"""Packages: filled once, described often, gone for good."""

from typing import Any

import pytest

from domain.errors import Clash, NotFound
from domain.package import Package
from domain.packed import Packed
from tests.scenario import AT, Happened, given, happened, told

PACKED = Packed("d" * 64, "c" * 64, 1000, "postgresql", {"customers": 2})
ABOUT: dict[str, Any] = {
    "organisation": "acme",
    "name": "customers",
    "version": "1.0.0",
    "package_type": "database",
    "description": None,
    "environment": "staging",
    "metadata": {},
    "dependencies": [],
    "action_id": "pack",
    "requested_by": "somebody",
}
DEFINED = happened(Package.Defined, **ABOUT, selection={"tables": ["customers"]})
IMPORTED = happened(Package.Imported, **ABOUT, packed=PACKED, original_id="pkg-1", signed_by=None)
STARTED = happened(Package.PackingStarted, action_id="pack")
FINISHED = happened(Package.PackingFinished, action_id="pack", packed=PACKED)
FAILED = happened(Package.PackingFailed, action_id="pack", error="The source does not answer")
DELETED = happened(Package.Deleted)


def test_a_second_try_at_packing_records_nothing() -> None:
    given(DEFINED).when(lambda p: p.start_packing(AT)).then(STARTED)
    given(DEFINED, STARTED).when(lambda p: p.start_packing(AT)).then()


def test_what_was_packed_is_what_it_holds() -> None:
    given(DEFINED, STARTED).when(lambda p: p.finish_packing(PACKED, AT)).then(FINISHED)
    assert told(DEFINED, STARTED, FINISHED).contents() == PACKED
    assert told(IMPORTED).contents() == PACKED


def test_it_is_filled_once() -> None:
    given(DEFINED, FINISHED).when(lambda p: p.finish_packing(PACKED, AT)).is_refused(Clash, "active")


@pytest.mark.parametrize("past", [(DEFINED,), (DEFINED, STARTED), (DEFINED, STARTED, FAILED)])
def test_what_holds_nothing_gives_nothing(past: tuple[Happened, ...]) -> None:
    given(*past).when(lambda p: p.contents()).is_refused(Clash, "holds nothing")


def test_what_was_deleted_is_not_there() -> None:
    given(DEFINED, FINISHED, DELETED).when(lambda p: p.contents()).is_refused(NotFound)
    given(DEFINED, FINISHED, DELETED).when(lambda p: p.delete(AT)).is_refused(NotFound)
    given(DEFINED, FINISHED, DELETED).when(lambda p: p.describe({"tags": []}, AT)).is_refused(NotFound)


def test_only_what_holds_something_is_archived() -> None:
    given(DEFINED, FAILED).when(lambda p: p.describe({"status": "archived"}, AT)).is_refused(Clash, "failed")
    archived = happened(Package.Described, changes={"status": "archived"})
    given(DEFINED, FINISHED).when(lambda p: p.describe({"status": "archived"}, AT)).then(archived)
