"""Freezes: what they cover, for how long, and how they end."""

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.errors import NotFound
from domain.freezes import Freeze, Freezes, Scope
from domain.taxonomy import Taxonomy
from tests.scenario import AT, given, happened, told

SHOP = Taxonomy("shop", "gcp", "account", "eu", "cell")
SALE = Freeze("sale", Scope(name="shop"), "big sale", None, "somebody")
OPENED = happened(Freezes.Opened, organisation="acme")
DECLARED = happened(Freezes.Declared, freeze=SALE)
LIFTED = happened(Freezes.Lifted, freeze_id="sale", reason="over")
MOMENT = timedelta(microseconds=1)


def until(seconds: int) -> Freeze:
    """The sale, for so long."""
    return replace(SALE, until=(AT + timedelta(seconds=seconds)).isoformat())


def test_an_organisation_opens_its_freezes_once_under_an_id_of_its_own() -> None:
    given().when(lambda _: Freezes.open("acme", AT)).then(OPENED)
    assert Freezes.open("acme", AT).id == Freezes.id_of("acme") != Freezes.id_of("other")


def test_a_declared_freeze_is_in_force() -> None:
    outcome = given(OPENED).when(lambda f: f.declare(SALE, AT)).then(DECLARED)
    assert outcome.aggregate.covering(SHOP, "production", AT) == SALE


def test_a_lifted_freeze_is_not() -> None:
    outcome = given(OPENED, DECLARED).when(lambda f: f.lift("sale", "over", AT)).then(LIFTED)
    assert outcome.aggregate.covering(SHOP, "production", AT) is None


@pytest.mark.parametrize("past", [(OPENED,), (OPENED, DECLARED, LIFTED)])
def test_what_is_not_in_force_cannot_be_lifted(past: tuple) -> None:
    given(*past).when(lambda f: f.lift("sale", None, AT)).is_refused(NotFound, "Freeze not found")


def test_lifting_one_freeze_leaves_the_others() -> None:
    other = replace(SALE, id="other")
    freezes = told(OPENED, DECLARED, happened(Freezes.Declared, freeze=other), LIFTED)
    assert freezes.covering(SHOP, "production", AT) == other


def test_a_freeze_ends_at_its_moment() -> None:
    freezes = told(OPENED, happened(Freezes.Declared, freeze=until(10)))
    end = AT + timedelta(seconds=10)
    assert freezes.covering(SHOP, "production", end - MOMENT) == until(10)
    assert freezes.covering(SHOP, "production", end) is None


def test_a_freeze_that_is_over_does_not_hide_one_that_is_not() -> None:
    lasting = replace(until(20), id="lasting")
    freezes = told(OPENED, happened(Freezes.Declared, freeze=until(1)), happened(Freezes.Declared, freeze=lasting))
    assert freezes.covering(SHOP, "production", AT + timedelta(seconds=5)) == lasting


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        (Scope(), True),
        (Scope(name="shop"), True),
        (Scope(name="Shop"), False),
        (Scope(provider="gcp"), True),
        (Scope(provider="aws"), False),
        (Scope(cloud_account_id="account"), True),
        (Scope(cloud_account_id="other"), False),
        (Scope(region="eu"), True),
        (Scope(region="us"), False),
        (Scope(cell="cell"), True),
        (Scope(cell="other"), False),
        (Scope(environment="production"), True),
        (Scope(environment="staging"), False),
        (Scope(name="shop", environment="production"), True),
        (Scope(name="shop", environment="staging"), False),
    ],
)
def test_a_freeze_covers_what_agrees_with_all_that_it_names(scope: Scope, covered: bool) -> None:
    assert scope.covers(SHOP, "production") is covered


def test_a_freeze_of_a_cell_leaves_lanes_without_cells_alone() -> None:
    assert not Scope(cell="cell").covers(Taxonomy("shop", "gcp"), "production")
