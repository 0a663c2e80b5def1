"""Who may do what: one table of actions, deny by default."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from application.caller import Caller, Role
from application.pseudonyms import MARK
from domain.errors import Forbidden
from domain.rules import HouseRules

RANK = {role: rank for rank, role in enumerate(Role)}

# The least role that may do it. What is not listed nobody may do.
ACTIONS: Mapping[str, Role] = {
    "deployment.read": Role.VIEWER,
    "deployment.create": Role.DEPLOYER,
    "deployment.update": Role.DEPLOYER,
    "deployment.rollback": Role.DEPLOYER,
    "deployment.claim": Role.DEPLOYER,
    "deployment.approve": Role.DEPLOYER,
    "deployment.correct": Role.APPROVER,
    "reference.read": Role.VIEWER,
    "lane.read": Role.VIEWER,
    "lane.release": Role.DEPLOYER,
    "fleet.read": Role.VIEWER,
    "freeze.read": Role.VIEWER,
    "freeze.declare": Role.APPROVER,
    "freeze.lift": Role.APPROVER,
    "rules.read": Role.VIEWER,
    "rules.set": Role.ADMIN,
    "incident.read": Role.VIEWER,
    "incident.report": Role.DEPLOYER,
    "incident.link": Role.DEPLOYER,
    "incident.resolve": Role.DEPLOYER,
    "metrics.read": Role.VIEWER,
    "teams.read": Role.VIEWER,
    "teams.set": Role.ADMIN,
    "organisation.read": Role.VIEWER,
    "organisation.rebind": Role.ADMIN,
    "job.read": Role.VIEWER,
    "job.log": Role.DEPLOYER,
    "job.cancel": Role.DEPLOYER,
    "job.retry": Role.DEPLOYER,
    "environment.read": Role.VIEWER,
    "environment.test": Role.DEPLOYER,
    "environment.change": Role.ADMIN,
    "package.read": Role.VIEWER,
    "package.data": Role.DEPLOYER,
    "package.create": Role.DEPLOYER,
    "package.update": Role.DEPLOYER,
    "package.delete": Role.DEPLOYER,
    "package.deploy": Role.DEPLOYER,
    "package.rollback": Role.DEPLOYER,
    "package.export": Role.DEPLOYER,
    "package.import": Role.DEPLOYER,
    "feed.read": Role.VIEWER,
    "webhook.read": Role.DEPLOYER,
    "webhook.replay": Role.DEPLOYER,
    "webhook.change": Role.ADMIN,
    "audit.read": Role.ADMIN,
    "audit.export": Role.ADMIN,
    "token.read": Role.ADMIN,
    "token.create": Role.ADMIN,
    "token.revoke": Role.ADMIN,
}
# Whoever has a token whose scope names one of these may do it, whatever their role: who audits need not be one who may
# change anything. A role below the least never may it without.
BY_SCOPE = frozenset(("audit.read", "audit.export"))
# Whoever may do one of these may do that too. Whatever is read may be read as of a reference, and the answer says which
# position that is; an export begins and ends at references.
READING = frozenset(one for one in ACTIONS if one.endswith(".read"))
GIVEN_WITH = {"reference.read": READING - {"reference.read"} | {"audit.export"}}


def authorise(caller: Caller, action: str) -> None:
    """Returns when the caller may, else raises Forbidden."""
    if not any(may(caller, other) for other in GIVEN_WITH.get(action, ())):
        authorise_itself(caller, action)


def authorise_itself(caller: Caller, action: str) -> None:
    """The same, by this action alone."""
    least = ACTIONS.get(action)
    named = action in BY_SCOPE and caller.scope is not None and action in caller.scope
    if least is None or (RANK[caller.role] < RANK[least] and not named):
        raise Forbidden(f"Role '{caller.role}' may not do '{action}'")
    if caller.scope is not None and action not in caller.scope:
        raise Forbidden(f"This token's scope does not cover '{action}'")


def may(caller: Caller, action: str) -> bool:
    """Whether the caller may."""
    try:
        authorise(caller, action)
    except Forbidden:
        return False
    return True


def check_grant(caller: Caller, scope: Collection[str] | None) -> None:
    """Nobody hands on more than they hold: a token whose scope is narrow issues none that is wider."""
    if caller.scope is not None and not (scope is not None and set(scope) <= caller.scope):
        raise Forbidden("This token's scope does not cover all that the new one would")


def with_role(caller: Caller, rules: HouseRules) -> Caller:
    """The caller with the role that the organisation's rules give; the first that fits decides."""
    if caller.method not in ("oidc", "pat"):
        return caller
    role = next((r.role for r in rules.roles if agrees(r.claims, caller)), None)
    return replace(caller, role=Role(role)) if role else caller


def agrees(wanted: Mapping[str, str], caller: Caller) -> bool:
    """Whether the caller comes with every wanted claim, or with what its pseudonym stands for."""
    return all(is_meant(value, caller.says(name), caller.pseudonyms) for name, value in wanted.items())


def is_meant(wanted: str, given: str | None, pseudonyms: Mapping[str, str]) -> bool:
    """Whether a claim, if it is there, says what a rule wants; a text never passes for a pseudonym."""
    if given is not None and wanted.startswith(MARK):
        return pseudonyms.get(given) == wanted.removeprefix(MARK)
    return given == wanted


def may_approve(caller: Caller, rules: HouseRules, taxonomy: Any, environment: str) -> str:
    """Approvers and administrators may, or whom a rule for this deployment names by claims; answers which it was."""
    ruled = [r for r in rules.approval if r.scope.covers(taxonomy, environment)]
    named = [r for r in ruled if r.claims]
    if named and not any(agrees(r.claims, caller) for r in named):
        raise Forbidden("A rule of the organisation names others as approvers")
    if not named and RANK[caller.role] < RANK[Role.APPROVER]:
        raise Forbidden(f"Role '{caller.role}' may not approve deployments")
    return "approver-by-claims" if named else "approver-by-role"
