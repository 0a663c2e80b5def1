"""The peer: a plain CRUD service of the same API, without history, as a good team would write it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI, HTTPException, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Index, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

ORGANISATION = "local-dev"
Status = Literal["scheduled", "in_progress", "deployed", "skipped", "failed"]


class Base(DeclarativeBase):
    """Tables of the peer."""


class Deployment(Base):
    """One row a deployment."""

    __tablename__ = "deployments"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    organisation: Mapped[str]
    name: Mapped[str]
    version: Mapped[str]
    commit_sha: Mapped[str | None]
    pipeline_extra_params: Mapped[str | None]
    provider: Mapped[str]
    cloud_account_id: Mapped[str | None]
    region: Mapped[str | None]
    environment: Mapped[str]
    cell: Mapped[str | None]
    type: Mapped[str]
    status: Mapped[str] = mapped_column(default="scheduled")
    auto: Mapped[bool] = mapped_column(default=True)
    description: Mapped[str | None]
    notes: Mapped[str | None]
    trigger: Mapped[str]
    source_deployment_id: Mapped[str | None]
    rollback_from_deployment_id: Mapped[str | None]
    build_uri: Mapped[str | None]
    deployment_uri: Mapped[str | None]
    resource: Mapped[str | None]
    created_by_repo: Mapped[str]
    created_by_workflow: Mapped[str]
    created_by_actor: Mapped[str]

    __table_args__ = (
        Index("newest", "organisation", created_at.desc()),
        Index("by_status", "organisation", "status", created_at.desc()),
        Index("by_lane", "organisation", "name", "provider", "cloud_account_id", "region", "cell", "status"),
    )


class Create(BaseModel):
    """A deployment to queue."""

    name: str
    version: str
    provider: Literal["gcp", "aws", "azure"]
    cloud_account_id: str | None = None
    region: str | None = None
    environment: str
    cell: str | None = None
    type: Literal["k8s", "terraform", "data_pipeline"]
    auto: bool = True
    commit_sha: str | None = None
    pipeline_extra_params: str | None = None
    description: str | None = None
    notes: str | None = None
    build_uri: str | None = None
    deployment_uri: str | None = None
    resource: str | None = None


class Update(BaseModel):
    """What became of it."""

    status: Status | None = None
    notes: str | None = None
    deployment_uri: str | None = None


class Answer(Create):
    """A deployment as it is answered."""

    model_config = ConfigDict(from_attributes=True)
    id: UUID
    created_at: datetime
    updated_at: datetime
    organisation: str
    status: str
    trigger: str
    source_deployment_id: str | None
    rollback_from_deployment_id: str | None
    created_by_repo: str
    created_by_workflow: str
    created_by_actor: str


engine = create_async_engine(os.environ["BENCH_DATABASE_URL"], pool_size=8, max_overflow=0)
sessions = async_sessionmaker(engine, expire_on_commit=False)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Makes the table."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


async def session() -> AsyncIterator[AsyncSession]:
    """One transaction a request."""
    async with sessions() as opened, opened.begin():
        yield opened


app = FastAPI(lifespan=lifespan)
Session = Annotated[AsyncSession, Depends(session, scope="function")]


@app.post("/v1/deployments", status_code=201)
async def create(body: Create, db: Session) -> Answer:
    """Queues a deployment."""
    row = Deployment(
        **body.model_dump(),
        organisation=ORGANISATION,
        trigger="auto" if body.auto else "manual",
        created_by_repo=f"{ORGANISATION}/local",
        created_by_workflow="local-dev",
        created_by_actor="local-dev",
    )
    db.add(row)
    await db.flush()
    return Answer.model_validate(row)


@app.get("/v1/deployments")
async def listed(
    db: Session,
    status: Status | None = None,
    name: str | None = None,
    limit: Annotated[int, Query(ge=0, le=1000)] = 100,
) -> list[Answer]:
    """Newest first."""
    query = select(Deployment).where(Deployment.organisation == ORGANISATION)
    if status:
        query = query.where(Deployment.status == status)
    if name:
        query = query.where(Deployment.name == name)
    rows = await db.scalars(query.order_by(Deployment.created_at.desc()).limit(limit))
    return [Answer.model_validate(row) for row in rows]


@app.get("/v1/deployments/{deployment_id}")
async def show(deployment_id: UUID, db: Session) -> Answer:
    """One deployment."""
    if (row := await db.get(Deployment, deployment_id)) is None:
        raise HTTPException(404, "Deployment not found")
    return Answer.model_validate(row)


@app.patch("/v1/deployments/{deployment_id}")
async def change(deployment_id: UUID, body: Update, db: Session) -> Answer:
    """Changes it; going live skips what was queued before."""
    row = await db.scalar(select(Deployment).where(Deployment.id == deployment_id).with_for_update())
    if row is None:
        raise HTTPException(404, "Deployment not found")
    for name in body.model_fields_set:
        setattr(row, name, getattr(body, name))
    row.updated_at = func.clock_timestamp()
    if body.status == "deployed":
        older = [
            Deployment.organisation == ORGANISATION,
            *(
                getattr(Deployment, f).is_not_distinct_from(getattr(row, f))
                for f in ("name", "provider", "cloud_account_id", "region", "cell")
            ),
            Deployment.status == "scheduled",
            Deployment.created_at < row.created_at,
        ]
        skipped = update(Deployment).where(*older).values(status="skipped", updated_at=func.clock_timestamp())
        await db.execute(skipped.execution_options(synchronize_session=False))
    await db.flush()
    await db.refresh(row)
    return Answer.model_validate(row)
