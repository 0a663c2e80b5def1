"""The peer: a plain CRUD service of the same API, without history, as a good team would write it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request
from pydantic import BeforeValidator
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from tests.bench.crud_rows import (
    Answer,
    Base,
    Create,
    Deployment,
    OptionalText,
    Provider,
    Status,
    Trigger,
    Update,
    no_filter,
    several,
)

SKIP_RULE = "scheduled-before-deployed"
LANE = ("organisation", "name", "provider", "cloud_account_id", "region", "cell")


async def session(request: Request) -> AsyncIterator[AsyncSession]:
    """One transaction a request, ended before the answer is sent."""
    async with request.app.state.sessions() as opened, opened.begin():
        yield opened


async def tenant(x_organisation: Annotated[str, Header()] = "local-dev") -> str:
    """Whose deployments they are."""
    return x_organisation.lower()


router = APIRouter()
Session = Annotated[AsyncSession, Depends(session, scope="function")]
Tenant = Annotated[str, Depends(tenant)]


@router.post("/v1/deployments", status_code=201)
async def create(body: Create, db: Session, organisation: Tenant) -> Answer:
    """Queues a deployment."""
    row = Deployment(
        **body.model_dump(),
        organisation=organisation,
        trigger="auto" if body.auto else "manual",
        created_by_repo=f"{organisation}/local",
        created_by_workflow="local-dev",
        created_by_actor="local-dev",
    )
    db.add(row)
    await db.flush()
    return Answer.model_validate(row)


@router.get("/v1/deployments")
async def listed(
    db: Session,
    organisation: Tenant,
    status: Annotated[list[Status] | None, Query(), BeforeValidator(several)] = None,
    name: OptionalText = None,
    environment: OptionalText = None,
    provider: Annotated[Provider | None, BeforeValidator(no_filter)] = None,
    cloud_account_id: OptionalText = None,
    region: OptionalText = None,
    cell: OptionalText = None,
    cell_is_null: bool = False,
    trigger: Annotated[Trigger | None, BeforeValidator(no_filter)] = None,
    limit: Annotated[int, Query(ge=0, le=1000)] = 100,
) -> list[Answer]:
    """Newest first."""
    query = select(Deployment).where(Deployment.organisation == organisation)
    wanted = {"name": name, "environment": environment, "provider": provider, "cloud_account_id": cloud_account_id}
    for column, value in (wanted | {"region": region, "cell": cell, "trigger": trigger}).items():
        if value is not None:
            query = query.where(getattr(Deployment, column) == value)
    if status:
        query = query.where(Deployment.status.in_(status))
    if cell_is_null:
        query = query.where(Deployment.cell.is_(None))
    rows = await db.scalars(query.order_by(Deployment.created_at.desc()).limit(limit))
    return [Answer.model_validate(row) for row in rows]


def parsed(deployment_id: str) -> UUID:
    """Any text may be asked for; what is no UUID is not there."""
    try:
        return UUID(deployment_id)
    except ValueError:
        raise HTTPException(404, "Deployment not found") from None


@router.get("/v1/deployments/{deployment_id}")
async def show(deployment_id: str, db: Session, organisation: Tenant) -> Answer:
    """One deployment."""
    row = await db.get(Deployment, parsed(deployment_id))
    if row is None or row.organisation != organisation:
        raise HTTPException(404, "Deployment not found")
    return Answer.model_validate(row)


@router.patch("/v1/deployments/{deployment_id}")
async def change(deployment_id: str, body: Update, db: Session, organisation: Tenant) -> Answer:
    """Changes it; going live skips what was queued before."""
    found = select(Deployment).where(Deployment.id == parsed(deployment_id), Deployment.organisation == organisation)
    row = await db.scalar(found.with_for_update())
    if row is None:
        raise HTTPException(404, "Deployment not found")
    if not body.model_fields_set:
        raise HTTPException(400, "No fields to update")
    for name in body.model_fields_set:
        setattr(row, name, getattr(body, name))
    row.updated_at = func.now()
    if body.status == "deployed":
        await skip_older(db, row)
    await db.flush()
    await db.refresh(row)
    return Answer.model_validate(row)


async def skip_older(db: AsyncSession, row: Deployment) -> None:
    """What was queued earlier in the same lane leaves the queue, in the same transaction."""
    same_lane = [getattr(Deployment, field).is_not_distinct_from(getattr(row, field)) for field in LANE]
    older = update(Deployment).where(
        *same_lane, Deployment.status == "scheduled", Deployment.created_at < row.created_at, Deployment.id != row.id
    )
    skipped = older.values(status="skipped", skipped_by=str(row.id), skip_rule=SKIP_RULE, updated_at=func.now())
    await db.execute(skipped.execution_options(synchronize_session=False))


def service(url: str) -> FastAPI:
    """The service on this database, with as many connections as ours has."""
    engine = create_async_engine(url, pool_size=8, max_overflow=0)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)
    app.include_router(router)
    app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
    return app


def build() -> FastAPI:
    """For uvicorn."""
    return service(os.environ["BENCH_DATABASE_URL"])
