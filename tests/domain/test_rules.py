"""House rules: lenient by default, replaced as a whole, and what they say about who may approve and with which role."""

from dataclasses import replace

import pytest

from application.authorisation import may_approve, with_role
from application.caller import Caller, Role
from application.claims import may_start
from domain.errors import Forbidden
from domain.freezes import Scope
from domain.lane import Entry
from domain.rules import ApprovalRule, HouseRules, RoleRule, Rules
from domain.status import Status, Trigger
from domain.taxonomy import Taxonomy
from tests.scenario import AT, given, happened, told

SHOP = Taxonomy("shop", "gcp")
OPENED = happened(Rules.Opened, organisation="acme")
STRICT = HouseRules(strict_transitions=True)
PRODUCTION = HouseRules(approval=(ApprovalRule(Scope(environment="production")),))
NAMED = HouseRules(approval=(ApprovalRule(Scope(environment="production"), {"team": "release", "login": "ann"}),))
ANN = Caller("acme", "ann", Role.DEPLOYER, "oidc", "repo", "workflow", claims={"team": "release"})
MANUAL = Entry("id", 1, "1", "production", False, Trigger.MANUAL, Status.SCHEDULED)


def test_rules_begin_lenient() -> None:
    outcome = given().when(lambda _: Rules.open("acme", AT)).then(OPENED)
    assert outcome.aggregate.rules == HouseRules((), (), False, False)


def test_new_rules_replace_all_old_ones() -> None:
    past = (OPENED, happened(Rules.Set, rules=STRICT))
    outcome = given(*past).when(lambda r: r.set(PRODUCTION, AT)).then(happened(Rules.Set, rules=PRODUCTION))
    assert outcome.aggregate.rules == PRODUCTION


def test_each_organisation_has_its_own() -> None:
    assert Rules.id_of("acme") != Rules.id_of("other")
    assert told(OPENED).organisation == "acme"


@pytest.mark.parametrize(
    ("rules", "entry", "allowed"),
    [
        (HouseRules(), MANUAL, True),
        (PRODUCTION, MANUAL, False),
        (PRODUCTION, replace(MANUAL, approved=True), True),
        (PRODUCTION, replace(MANUAL, environment="staging"), True),
        (PRODUCTION, replace(MANUAL, trigger=Trigger.AUTO), True),
        (PRODUCTION, replace(MANUAL, trigger=Trigger.ROLLBACK), True),
    ],
)
def test_only_manual_deployments_under_a_rule_wait_for_an_approval(
    rules: HouseRules, entry: Entry, allowed: bool
) -> None:
    assert may_start(rules, SHOP, entry) is allowed


@pytest.mark.parametrize(
    ("caller", "rules", "environment"),
    [
        (replace(ANN, role=Role.APPROVER), PRODUCTION, "production"),
        (replace(ANN, role=Role.ADMIN), HouseRules(), "production"),
        (ANN, NAMED, "production"),
        (replace(ANN, role=Role.APPROVER), NAMED, "staging"),
    ],
)
def test_approvers_and_whom_a_rule_names_may_approve(caller: Caller, rules: HouseRules, environment: str) -> None:
    may_approve(caller, rules, SHOP, environment)


@pytest.mark.parametrize(
    ("caller", "rules", "environment"),
    [
        (ANN, PRODUCTION, "production"),
        (ANN, NAMED, "staging"),
        (replace(ANN, claims={}), NAMED, "production"),
        (replace(ANN, login="bob"), NAMED, "production"),
        (replace(ANN, login="bob", role=Role.ADMIN), NAMED, "production"),
    ],
)
def test_others_may_not_approve(caller: Caller, rules: HouseRules, environment: str) -> None:
    with pytest.raises(Forbidden):
        may_approve(caller, rules, SHOP, environment)


def test_the_first_rule_that_fits_gives_the_role() -> None:
    rules = HouseRules(roles=(RoleRule("admin", {"login": "bob"}), RoleRule("viewer", {"team": "release"})))
    assert with_role(ANN, rules).role is Role.VIEWER
    assert with_role(replace(ANN, login="bob"), rules).role is Role.ADMIN
    assert with_role(replace(ANN, claims={}), rules).role is Role.DEPLOYER


def test_a_claim_that_is_null_says_nothing() -> None:
    rules = HouseRules(roles=(RoleRule("admin", {"team": "None"}),))
    assert with_role(replace(ANN, claims={"team": None}), rules).role is Role.DEPLOYER
    assert with_role(replace(ANN, claims={"team": "None"}), rules).role is Role.ADMIN


def test_a_token_of_rollbooks_own_keeps_the_role_that_it_was_issued_with() -> None:
    rules = HouseRules(roles=(RoleRule("admin", {}),))
    assert with_role(replace(ANN, method="token"), rules).role is Role.DEPLOYER
