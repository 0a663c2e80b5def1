"""Whether who comes under an organisation's name speaks for its owner; the first to come becomes that."""

from datetime import UTC, datetime

from application import organisations
from application.caller import Caller
from application.ports.event_store import Circumstances
from domain.organisation import another_owner
from entrypoints.http.routing import Call


async def recognise(call: Call, caller: Caller) -> None:
    """Returns when the caller speaks for the owner of the organisation's name; the first to come becomes that."""
    admitted = await call.app.owners.admits(caller)
    if admitted is None:
        await introduce(call, caller)
    elif not admitted:
        raise another_owner(caller.organisation)


async def introduce(call: Call, caller: Caller) -> None:
    """Binds the name at first sight; when somebody else was faster, the name is theirs."""
    circumstances = Circumstances(
        actor=await call.app.people.actor(caller.organisation, caller.login),
        origin=caller.origin.facts(),
        occurred_at=datetime.now(UTC),
        correlation_id=call.trace_id,
        traceparent=call.traceparent,
    )
    command = organisations.BindOwner(caller.organisation_id or "", caller.entrusted)
    await call.app.executor.execute(caller.organisation, circumstances, organisations.bind_owner, command)
