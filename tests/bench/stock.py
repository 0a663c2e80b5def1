"""The other peer: the same aggregates on the stock `eventsourcing` application with its Postgres recorder."""

import os
from asyncio import to_thread
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
from tests.reference.stock import stock_on

ORGANISATION = "local-dev"


def create(body: dict[str, Any]) -> str:
    """Schedules, in the deployment's stream and its lane's."""
    taxonomy = Taxonomy(body["name"], body["provider"], body["cloud_account_id"], body["region"], None)
    now = datetime.now(UTC)
    for _ in range(50):
        lane = opened(taxonomy, now)
        facts = {"version": body["version"], "environment": body["environment"], "type": body["type"]}
        deployment = Deployment.schedule(
            uuid4(),
            now,
            organisation=ORGANISATION,
            taxonomy=taxonomy,
            release=Release(**facts, commit_sha=body["commit_sha"], description=body["description"]),
            number=lane.last_number + 1,
            trigger=str(Trigger.AUTO),
            notes=None,
            deployment_uri=None,
            source_deployment_id=None,
            rollback_from_deployment_id=None,
            requested_by="somebody",
            created_by_repo="repo",
            created_by_workflow="workflow",
        )
        lane.place(entry_of(deployment), now)
        if saved(deployment, lane):
            return str(deployment.id)
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


def change(deployment_id: str, status: str) -> str:
    """Reports a status."""
    now = datetime.now(UTC)
    for _ in range(50):
        deployment: Deployment = stock.repository.get(UUID(deployment_id))
        lane: Lane = stock.repository.get(deployment.taxonomy.lane_id(ORGANISATION))
        deployment.report(Status(status), now)
        lane.place(entry_of(deployment), now)
        if saved(deployment, lane):
            return deployment_id
    raise RuntimeError("too many clashes")


async def post(request: Request) -> Response:
    """Creates."""
    return JSONResponse({"id": await to_thread(create, await request.json())}, 201)


async def patch(request: Request) -> Response:
    """Updates."""
    body = await request.json()
    return JSONResponse({"id": await to_thread(change, request.path_params["deployment_id"], body["status"])})


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
