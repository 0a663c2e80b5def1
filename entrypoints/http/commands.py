"""From a request to a recorded command: who, from where, under which Idempotency-Key."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from adapters.tracing import span
from application.authorisation import authorise, with_role
from application.caller import Caller
from application.execution import Handler
from application.ports.event_store import Appended, Circumstances, CommandKey
from domain.errors import Frozen, Invalid
from entrypoints.http.headers import MAX_KEY
from entrypoints.http.naming import with_pseudonyms
from entrypoints.http.recognition import recognise
from entrypoints.http.routing import Call

COMMANDS = UUID("9c1f7b53-13c7-5d3b-8a2e-5f9d0f7f2d04")


async def execute(call: Call, handler: Handler, command: Any, status: int = 200) -> Appended:
    """Runs the command as the caller. A repeated Idempotency-Key answers what came of it the first time."""
    caller = call.caller
    circumstances = Circumstances(
        actor=await call.app.people.actor(caller.organisation, caller.login),
        origin=caller.origin.facts() | {"client": call.headers.get("user-agent", "")[:200] or None},
        occurred_at=datetime.now(UTC),
        correlation_id=call.trace_id,
        traceparent=call.traceparent,
    )
    try:
        with span(f"command {getattr(handler, '__name__', 'unnamed')}"):
            appended: Appended = await call.app.executor.execute(
                caller.organisation, circumstances, handler, command, command_key(call, status)
            )
    except Frozen as refusal:
        who = refusal.details["who"]
        names = await call.app.people.logins_of(caller.organisation, [who])
        raise Frozen(refusal.message, **{**refusal.details, "who": names[who]}) from None
    return appended


def command_key(call: Call, status: int) -> CommandKey | None:
    """What an Idempotency-Key stands for: this organisation, method and path; and a digest of the rest."""
    given = given_key(call)
    if given is None:
        return None
    scope = "\n".join((call.caller.organisation, call.method, call.path, given))
    digest = hashlib.sha256(call.query_string + b"\n" + call.body).digest()
    return CommandKey(uuid5(COMMANDS, scope), digest, status)


def given_key(call: Call) -> str | None:
    """The Idempotency-Key, None without one; Invalid when it cannot be one."""
    given = call.headers.get("idempotency-key")
    if given is not None and not 0 < len(given) <= MAX_KEY:
        raise Invalid(f"Idempotency-Key must be 1 to {MAX_KEY} characters")
    return given


async def authenticated(call: Call) -> Caller:
    """The caller, bound to the owner behind the organisation's name, with the role that its rules give."""
    # Before a token is looked at, so that guessing tokens is limited too.
    call.app.limits.addresses.spend(call.address)
    caller: Caller = await call.app.authentication.authenticate(call.headers)
    call.app.limits.organisations.spend(caller.organisation)
    await recognise(call, caller)
    rules = await call.app.rules_of(caller.organisation)
    caller = with_role(await with_pseudonyms(call, caller, rules), rules)
    interface = call.route.interface if call.route else "unknown"
    return replace(caller, origin=replace(caller.origin, interface=interface))


async def authorised(call: Call, action: str) -> None:
    """Returns when the caller may do this, else raises Forbidden; a key that cannot be one is refused here already."""
    authorise(call.caller, action)
    if call.route and call.route.appends:
        given_key(call)
