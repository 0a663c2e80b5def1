"""The other peer: the same aggregates on the stock `eventsourcing` application with its Postgres recorder."""

import os
from asyncio import to_thread
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from eventsourcing.application import AggregateNotFoundError
from eventsourcing.persistence import IntegrityError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from application.deployments import entry_of
from domain.deployment import Deployment
from domain.lane import Lane
from domain.release import Release
from domain.status import Status, Trigger
from domain.taxonomy import Taxonomy
from tests.bench.crud_rows import Answer, Create, Update
from tests.reference.stock import stock_on

ORGANISATION = "local-dev"
UNSAID = dict.fromkeys(Answer.model_fields)


def create(body: Create) -> Deployment:
    """Schedules, in the deployment's stream and its lane's."""
    taxonomy = Taxonomy(body.name, body.provider, body.cloud_account_id, body.region, body.cell)
    now = datetime.now(UTC)
    for _ in range(50):
        lane = opened(taxonomy, now)
        deployment = Deployment.schedule(
            uuid4(),
            now,
            organisation=ORGANISATION,
            taxonomy=taxonomy,
            release=Release(
                **{f.name: getattr(body, f.name) for f in fields(Release) if f.name in Create.model_fields}
            ),
            number=lane.last_number + 1,
            trigger=str(Trigger.AUTO if body.auto else Trigger.MANUAL),
            notes=body.notes,
            deployment_uri=body.deployment_uri,
            source_deployment_id=None,
            rollback_from_deployment_id=None,
            requested_by="local-dev",
            created_by_repo=f"{ORGANISATION}/local",
            created_by_workflow="local-dev",
        )
        lane.place(entry_of(deployment), now)
        if saved(deployment, lane):
            return deployment
    raise RuntimeError("too many clashes")


def opened(taxonomy: Taxonomy, now: datetime) -> Lane:
    """The lane, or a new one."""
    try:
        lane: Lane = stock.repository.get(taxonomy.lane_id(ORGANISATION))
        return lane
    except AggregateNotFoundError:
        return Lane.open(ORGANISATION, taxonomy, now)


def saved(*aggregates: Any) -> bool:
    """Whether nobody else was faster."""
    try:
        stock.save(*aggregates)
    except IntegrityError:
        return False
    return True


def change(deployment_id: str, status: str) -> Deployment:
    """Reports a status."""
    now = datetime.now(UTC)
    for _ in range(50):
        deployment: Deployment = stock.repository.get(UUID(deployment_id))
        lane: Lane = stock.repository.get(deployment.taxonomy.lane_id(ORGANISATION))
        deployment.report(Status(status), now)
        lane.place(entry_of(deployment), now)
        if saved(deployment, lane):
            return deployment
    raise RuntimeError("too many clashes")


def answer(deployment: Deployment, status: int) -> Response:
    """The deployment as the other services answer it."""
    told = {"id": deployment.id, "created_at": deployment.created_on, "updated_at": deployment.modified_on}
    told |= {"organisation": deployment.organisation, "status": deployment.status, "trigger": deployment.trigger}
    told |= {"auto": deployment.trigger == Trigger.AUTO, "created_by_actor": deployment.requested_by}
    told |= asdict(deployment.taxonomy) | asdict(deployment.release)
    body = Answer.model_construct(**UNSAID | told).model_dump_json(warnings=False)
    return Response(body, status, media_type="application/json")


async def post(request: Request) -> Response:
    """Creates."""
    body = Create.model_validate_json(await request.body())
    return answer(await to_thread(create, body), 201)


async def patch(request: Request) -> Response:
    """Updates."""
    body = Update.model_validate_json(await request.body())
    return answer(await to_thread(change, request.path_params["deployment_id"], body.status), 200)


async def ready(request: Request) -> Response:
    """Tells that it runs."""
    return JSONResponse([])


stock = stock_on(os.environ["BENCH_DATABASE_URL"])
app = Starlette(
    routes=[
        Route("/v1/deployments", post, methods=["POST"]),
        Route("/v1/deployments", ready),
        Route("/v1/deployments/{deployment_id}", patch, methods=["PATCH"]),
    ]
)
