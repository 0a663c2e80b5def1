"""An organisation's own facts: whose its name is, which an administrator may give away."""

from application import organisations
from entrypoints.http import governance_models as bodies
from entrypoints.http.commands import execute
from entrypoints.http.deployments import queue
from entrypoints.http.fields import AsOf
from entrypoints.http.reading import SHOWN, TAKEN, reading
from entrypoints.http.routing import Answer, Call, answer


@queue.get("/v1/organisation", action="organisation.read", answer=bodies.OrganisationBody, takes=TAKEN, gives=SHOWN)
async def show_organisation(call: Call, query: AsOf) -> Answer:
    """Show the organisation and the owner that its name is bound to."""
    past, organisation = await reading(call, query.as_of), call.caller.organisation
    owner = await call.app.owner_at(organisation, await past.reach_log())
    return answer({"organisation": organisation, "owner": owner}, headers=past.headers())


@queue.post("/v1/organisation/owner", action="organisation.rebind", answer=bodies.OrganisationBody)
async def rebind_owner(call: Call, body: bodies.OwnerBody) -> Answer:
    """Give the organisation's name to another owner: who comes for the old one is refused from then on."""
    command = organisations.RebindOwner(body.owner, body.reason)
    await execute(call, organisations.rebind_owner, command)
    return await show_organisation(call, AsOf())
