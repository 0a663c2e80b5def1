"""The deployment queue: schedule, list, report, roll back."""

from collections.abc import Mapping
from types import MappingProxyType

from adapters.postgres.conditions import beyond, equals, one_of
from application import deployments as commands
from application import rollbacks
from application.ports.event_store import Appended
from domain.errors import Clash, Frozen, LeaseLost, NotFound, VersionMismatch
from domain.release import Release
from domain.taxonomy import Taxonomy
from entrypoints.http import answers
from entrypoints.http import queue_models as models
from entrypoints.http.commands import execute
from entrypoints.http.epochs import marked, unmarked
from entrypoints.http.errors import detail_errors
from entrypoints.http.fields import AsOf
from entrypoints.http.headers import ALLOW_STALE, EPOCH, ETAG, IF_MATCH, LINK, POSITION, PREFER, TOTAL_COUNT
from entrypoints.http.paging import created_between, cursor_of, next_link
from entrypoints.http.reading import SHOWN, TAKEN, reading
from entrypoints.http.routing import Answer, Call, Interface, answer
from projections.history import entry_in_words
from projections.read_model import Row
from projections.registry import DEPLOYMENTS

queue = Interface("queue", "/v1", detail_errors)
ONE = (ETAG, POSITION)
FILTERS = ("name", "environment", "provider", "cloud_account_id", "region", "cell", "trigger")


@queue.post("/v1/deployments", action="deployment.create", answer=models.DeploymentObject, status=201, gives=ONE)
async def create_deployment(call: Call, body: models.CreateDeployment) -> Answer:
    """Queue a release; it is scheduled."""
    command = commands.ScheduleDeployment(
        taxonomy=Taxonomy(body.name, body.provider.value, body.cloud_account_id, body.region, body.cell),
        release=release_of(body),
        auto=body.auto,
        created_by_repo=call.caller.repository,
        created_by_workflow=call.caller.workflow,
        notes=body.notes,
        deployment_uri=body.deployment_uri,
    )
    done = await execute(call, commands.schedule_deployment, command, 201)
    row = await changed_row(call, done)
    return await deployment_answer(call, row, 201)


def release_of(body: models.CreateDeployment) -> Release:
    """What is deployed, out of what was sent."""
    return Release(
        version=body.version,
        environment=body.environment,
        type=body.type.value,
        commit_sha=body.commit_sha,
        pipeline_extra_params=body.pipeline_extra_params,
        description=body.description,
        build_uri=body.build_uri,
        resource=body.resource,
        committed_at=body.committed_at.isoformat() if body.committed_at else None,
        change_url=body.change_url,
        incident_id=body.incident_id,
    )


@queue.get(
    "/v1/deployments",
    action="deployment.read",
    answer=list[models.DeploymentObject],
    takes=(PREFER, ALLOW_STALE, EPOCH),
    gives=(*SHOWN, LINK, TOTAL_COUNT),
)
async def list_deployments(call: Call, query: models.ListDeployments) -> Answer:
    """List deployments, newest first."""
    past = await reading(call, query.as_of)
    wanted = [equals(f, str(v)) for f in FILTERS if (v := getattr(query, f)) is not None]
    if query.status:
        wanted.append(one_of("status", query.status))
    if query.cell_is_null:
        wanted.append(equals("cell", None))
    wanted += await created_between(call, query.since, query.until)
    counted = list(wanted)
    oldest_first = query.sort == "created_at"
    if query.cursor:
        shown, after = cursor_of(call, query.cursor)
        past = await reading(call, str(shown))
        wanted.append(beyond("created_position", after, oldest_first))
    order = f"created_position {'asc' if oldest_first else 'desc'}"
    rows = await past.select(DEPLOYMENTS, wanted, order, query.limit)
    headers = past.headers()
    if rows and len(rows) == query.limit:
        headers["link"] = next_link(call, past.position, rows[-1]["created_position"])
    if "count=exact" in call.headers.get("prefer", ""):
        headers["x-total-count"] = str(await past.count(DEPLOYMENTS, counted))
    return answer(await call.app.render(call.caller.organisation, rows), headers=headers)


@queue.post(
    "/v1/deployments/rollback",
    action="deployment.rollback",
    answer=models.DeploymentObject,
    status=201,
    raises=(NotFound,),
    gives=ONE,
)
async def roll_back_lane(call: Call, query: models.RollBackQuery) -> Answer:
    """Queue again what was live in a lane before."""
    command = rollbacks.RollBackLane(
        query.taxonomy(), call.caller.repository, call.caller.workflow, query.target_version, query.environment
    )
    done = await execute(call, rollbacks.roll_back_lane, command, 201)
    row = await changed_row(call, done)
    return await deployment_answer(call, row, 201)


@queue.get(
    "/v1/deployments/{deployment_id}",
    action="deployment.read",
    answer=models.DeploymentObject,
    raises=(NotFound,),
    takes=(ALLOW_STALE, EPOCH),
    gives=(ETAG, *SHOWN),
)
async def show_deployment(call: Call, deployment_id: str, query: AsOf) -> Answer:
    """Show one deployment."""
    past = await reading(call, query.as_of)
    rows = await past.select(DEPLOYMENTS, [equals("key", str(commands.parse_id(deployment_id)))], order="key")
    if not rows:
        raise NotFound("Deployment not found")
    return await deployment_answer(call, rows[0], headers=past.headers())


@queue.patch(
    "/v1/deployments/{deployment_id}",
    action="deployment.update",
    answer=models.DeploymentObject,
    raises=(NotFound, Clash, LeaseLost, VersionMismatch, Frozen),
    takes=(IF_MATCH,),
    gives=ONE,
)
async def update_deployment(call: Call, deployment_id: str, body: models.UpdateDeployment) -> Answer:
    """Say what has become of a deployment; going live skips what was queued before it."""
    sent = body.model_fields_set
    command = commands.UpdateDeployment(
        deployment_id=deployment_id,
        status=body.status if "status" in sent else None,
        changes={name: getattr(body, name) for name in ("notes", "deployment_uri") if name in sent},
        if_match=version_expected(call),
        fence=body.lease,
        override=body.override,
    )
    done = await execute(call, commands.update_deployment, command)
    row = await changed_row(call, done)
    call.app.count.updated(row, command.status, done)
    return await deployment_answer(call, row)


def version_expected(call: Call) -> int | None:
    """The version that an If-Match names; `*` is any. One of another epoch is none of this one's."""
    given = call.headers.get("if-match")
    if given is None or given == "*":
        return None
    number = unmarked(call, given.removeprefix("W/").strip('"'))
    if number is None:
        raise VersionMismatch("If-Match is not of this epoch of the store: read the deployment again")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else -1


@queue.post(
    "/v1/deployments/{deployment_id}/rollback",
    action="deployment.rollback",
    answer=models.DeploymentObject,
    status=201,
    raises=(NotFound, Frozen),
    gives=ONE,
)
async def roll_back_deployment(call: Call, deployment_id: str, query: models.RollBackTo) -> Answer:
    """Replace a deployment by what is live beside it, at once."""
    command = rollbacks.RollBackDeployment(
        deployment_id, call.caller.repository, call.caller.workflow, query.target_version, override=query.override
    )
    done = await execute(call, rollbacks.roll_back_deployment, command, 201)
    row = await changed_row(call, done)
    return await deployment_answer(call, row, 201)


@queue.get(
    "/v1/deployments/{deployment_id}/history",
    action="deployment.read",
    answer=answers.History,
    raises=(NotFound,),
    takes=TAKEN,
    gives=SHOWN,
)
async def show_history(call: Call, deployment_id: str, query: AsOf) -> Answer:
    """Tell a deployment's events in words: who, when, what, why, from which run."""
    identifier = commands.parse_id(deployment_id)
    past = await reading(call, query.as_of)
    if not (events := await past.events(f"deployment-{identifier}")):
        raise NotFound("Deployment not found")
    entries = [entry_in_words(event) for event in events]
    names = await call.app.people.logins_of(call.caller.organisation, [e["actor"] for e in entries])
    named = [{**entry, "actor": names[entry["actor"]]} for entry in entries]
    return answer({"deployment_id": str(identifier), "entries": named}, headers=past.headers())


async def find_row(call: Call, deployment_id: str, as_of: int | None = None) -> Row:
    """The deployment's row, or NotFound."""
    key = str(commands.parse_id(deployment_id))
    wanted = [equals("key", key)]
    page = await call.app.views.select(call.caller.organisation, DEPLOYMENTS, wanted, order="key", as_of=as_of)
    if not page.rows:
        raise NotFound("Deployment not found")
    row: Row = page.rows[0]
    return row


async def changed_row(call: Call, done: Appended) -> Row:
    """The row as the command left it; for a repeat, as it left it the first time.

    What is not remembered here is told from the log: what was recorded is answered also while read models are behind.
    """
    row: Row | None = None if done.repeated else call.app.recent.after(done)
    if row is None:
        events = await call.app.store.history(call.caller.organisation, f"deployment-{done.resource}")
        then = [event for event in events if not done.position or event.commit_position <= done.position]
        row = call.app.recent.told(done.resource, None, then)
    return row or await find_row(call, done.resource, done.position if done.repeated else None)


async def deployment_answer(
    call: Call, row: Row, status: int = 200, headers: Mapping[str, str] = MappingProxyType({})
) -> Answer:
    """One deployment as its users know it."""
    rendered = await call.app.render(call.caller.organisation, [row])
    version = marked(call, str(row["version_number"]))
    told = {**headers, "x-rollbook-position": str(row["position"]), "etag": f'"{version}"'}
    return answer(rendered[0], status, told)
