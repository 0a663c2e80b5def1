"""What an organisation decides for itself: freezes, rules, tokens."""

from typing import Any

from adapters.identity.own_tokens import digest, new_secret
from adapters.postgres.conditions import equals
from application import freezes, rules, tokens
from application.authorisation import ACTIONS, check_grant
from domain.errors import Clash, Invalid, NotFound, Unprocessable
from domain.freezes import Scope
from domain.rules import ApprovalRule, HouseRules, RoleRule
from entrypoints.http import answers, naming
from entrypoints.http import governance_models as bodies
from entrypoints.http import queue_models as models
from entrypoints.http.commands import execute
from entrypoints.http.deployments import queue
from entrypoints.http.fields import AsOf
from entrypoints.http.reading import SHOWN, TAKEN, reading
from entrypoints.http.requests import problem
from entrypoints.http.routing import Answer, Call, answer
from projections.read_model import Row
from projections.registry import FREEZES, TOKENS

MOST = 1000


@queue.post("/v1/freezes", action="freeze.declare", answer=answers.FreezeObject, status=201)
async def declare_freeze(call: Call, body: bodies.FreezeBody) -> Answer:
    """Let nothing new start in a scope."""
    command = freezes.DeclareFreeze(Scope(**body.scope.model_dump(mode="json")), body.reason, body.until)
    done = await execute(call, freezes.declare_freeze, command, 201)
    return answer(await freeze_row(call, done.resource), 201)


@queue.get("/v1/freezes", action="freeze.read", answer=list[answers.FreezeObject], takes=TAKEN, gives=SHOWN)
async def list_freezes(call: Call, query: AsOf) -> Answer:
    """List freezes, newest first, lifted ones too."""
    past = await reading(call, query.as_of)
    rows = await past.select(FREEZES, limit=MOST)
    return answer(await with_names(call, rows), headers=past.headers())


@queue.post("/v1/freezes/{freeze_id}/lift", action="freeze.lift", answer=answers.FreezeObject, raises=(NotFound,))
async def lift_freeze(call: Call, freeze_id: str, body: models.Reason) -> Answer:
    """End a freeze before its time."""
    done = await execute(call, freezes.lift_freeze, freezes.LiftFreeze(freeze_id, body.reason))
    return answer(await freeze_row(call, done.resource))


async def freeze_row(call: Call, freeze_id: str) -> Row:
    """A freeze that was just written."""
    page = await call.app.views.select(call.caller.organisation, FREEZES, [equals("key", freeze_id)])
    return (await with_names(call, page.rows))[0]


async def with_names(call: Call, rows: list[Row]) -> list[Row]:
    """Logins in the place of pseudonyms."""
    people = [row[member] for row in rows for member in ("by", "lifted_by")]
    names = await call.app.people.logins_of(call.caller.organisation, people)
    named = dict.fromkeys(("by", "lifted_by"), names)
    return [{**row, **{m: named[m].get(row[m]) for m in named}} for row in rows]


@queue.get("/v1/rules", action="rules.read", answer=bodies.RulesBody, takes=TAKEN, gives=SHOWN)
async def show_rules(call: Call, query: AsOf) -> Answer:
    """Show the rules in force, now or then."""
    past = await reading(call, query.as_of)
    position = await past.reach_log()
    then = await call.app.rules_at(call.caller.organisation, position)
    return answer(await naming.with_names(call, then), headers=past.headers())


async def present_rules(call: Call) -> Answer:
    """The rules in force now."""
    return answer(await naming.with_names(call, await call.app.rules_of(call.caller.organisation, fresh=True)))


@queue.put("/v1/rules", action="rules.set", answer=bodies.RulesBody)
async def set_rules(call: Call, body: bodies.RulesBody) -> Answer:
    """Replace all rules."""
    house = HouseRules(
        approval=tuple(ApprovalRule(Scope(**r.scope.model_dump(mode="json")), r.claims) for r in body.approval),
        roles=tuple(RoleRule(r.role, r.claims) for r in body.roles),
        strict_transitions=body.strict_transitions,
        require_if_match=body.require_if_match,
    )
    await execute(call, rules.set_rules, rules.SetRules(await naming.without_names(call, house)))
    return await present_rules(call)


@queue.post("/v1/tokens", action="token.create", answer=answers.IssuedToken, status=201)
async def issue_token(call: Call, body: bodies.TokenBody) -> Answer:
    """Issue a token; its secret is shown this once."""
    if unknown := sorted(set(body.scope or ()) - ACTIONS.keys()):
        raise Unprocessable([problem("enum", ["body", "scope"], f"Unknown actions: {', '.join(unknown)}", unknown)])
    if body.expires_at and not 1970 <= body.expires_at.year < 9999:
        raise Invalid("expires_at must be between 1970 and 9998")
    check_grant(call.caller, body.scope)
    secret = new_secret()
    command = tokens.IssueToken(
        name=body.name,
        role=body.role,
        sha256=digest(secret).hex(),
        scope=frozenset(body.scope) if body.scope is not None else None,
        expires_at=body.expires_at,
    )
    done = await execute(call, tokens.issue_token, command, 201)
    row = shown(await token_row(call, done.resource))
    return answer(row if done.repeated else {**row, "token": secret}, 201)


@queue.get("/v1/tokens", action="token.read", answer=list[answers.TokenObject], takes=TAKEN, gives=SHOWN)
async def list_tokens(call: Call, query: AsOf) -> Answer:
    """List tokens, revoked ones too; never their secrets."""
    past = await reading(call, query.as_of)
    rows = await past.select(TOKENS, limit=MOST)
    return answer([shown(row) for row in rows], headers=past.headers())


@queue.delete("/v1/tokens/{token_id}", action="token.revoke", answer=answers.TokenObject, raises=(NotFound, Clash))
async def revoke_token(call: Call, token_id: str) -> Answer:
    """End a token."""
    done = await execute(call, tokens.revoke_token, tokens.RevokeToken(token_id))
    return answer(shown(await token_row(call, done.resource)))


async def token_row(call: Call, token_id: str) -> Row:
    """A token that was just written."""
    page = await call.app.views.select(call.caller.organisation, TOKENS, [equals("key", token_id)])
    row: Row = page.rows[0]
    return row


def shown(row: Row) -> dict[str, Any]:
    """A token without its hash."""
    return {member: value for member, value in row.items() if member not in ("sha256", "owner", "created_position")}
