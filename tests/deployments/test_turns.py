"""What becomes of deployments when their jobs do not end well, and who may still say something about them."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from adapters.databases.postgresql.target import PostgresTarget
from application import deploying
from application.data_deployments import DeployPackage, RollBackDeployment, deploy_package, roll_back_deployment
from application.deployment_turns import deploying_concerns, rolling_back_concerns
from application.execution import Executor, Handler, Work
from application.installations import (
    BeginDependency,
    ChangeInstallation,
    FinishDependency,
    OfJob,
    begin_dependency,
    change_installation,
    finish_dependency,
    start_deployment,
)
from application.jobs import (
    CancelJob,
    CompleteJob,
    EndJob,
    RetryJob,
    StartJob,
    cancel_job,
    complete_job,
    lose_worker,
    retry_job,
    start_job,
    time_out_job,
)
from application.packages import ImportPackage, import_package
from domain.data_deployment import DataDeployment
from domain.errors import Clash, Invalid, LeaseLost
from domain.installation import Installation
from domain.package import Package
from domain.packed import Packed
from domain.status import Status
from entrypoints.workers.acting import circumstances
from tests.conftest import Running
from tests.deployments.conftest import SOLD, Shop, rows
from tests.sharing import own_organisation

pytestmark = pytest.mark.asyncio(loop_scope="session")
PACKED = Packed("0" * 64, "0" * 64, 1, "postgresql", {"customers": 1})
DONE: dict[str, Any] = {"database_name": "shop", "tables": {}, "keys": {}, "mapped": {}, "warnings": []}
OPTIONS = {"dry_run": False}


class Ground:
    """Commands as an organisation runs them."""

    def __init__(self, rollbook: Running, organisation: str) -> None:
        self.app = rollbook.app
        self.organisation = organisation

    async def run(self, handle: Handler, command: Any) -> str:
        """What the command answers."""
        around = await circumstances(self.app, self.organisation, "test")
        return (await self.app.executor.execute(self.organisation, around, handle, command)).resource

    async def package(self, name: str, *dependencies: UUID, package_id: UUID | None = None) -> UUID:
        """A package that is said to hold something."""
        facts: dict[str, Any] = {"packed": PACKED, "dependencies": dependencies, "package_id": package_id or uuid4()}
        return UUID(await self.run(import_package, ImportPackage(name, "1", "database", **facts)))

    async def deploying(self, package: UUID) -> UUID:
        """A deployment whose job somebody has."""
        job = UUID(await self.run(deploy_package, DeployPackage(package, "staging", OPTIONS)))
        await self.run(start_job, StartJob(job, "somebody"))
        await self.run(start_deployment, OfJob(job, 1))
        return job

    async def deployment(self, deployment_id: UUID) -> Status:
        """Where a deployment is in its life."""
        stream = f"data_deployment-{deployment_id}"
        found: DataDeployment = (await self.app.store.load(self.organisation, [stream]))[stream]
        return found.status

    async def holder(self, package: str) -> UUID | None:
        """Which job changes what of a package is in staging."""
        stream = f"installation-{Installation.id_of(self.organisation, 'staging', package)}"
        found: Installation = (await self.app.store.load(self.organisation, [stream]))[stream]
        return found.holder


@pytest.fixture
def ground(quiet: Running) -> Ground:
    """Nobody is at work."""
    return Ground(quiet, own_organisation())


@pytest.mark.parametrize(("end", "status"), [(time_out_job, Status.FAILED), (cancel_job, Status.CANCELLED)])
async def test_whatever_end_a_job_has_nothing_of_it_stays_open(ground: Ground, end: Handler, status: Status) -> None:
    people = await ground.package("people")
    job = await ground.deploying(await ground.package("sales", people))
    part = UUID(await ground.run(begin_dependency, BeginDependency(job, 1, people)))
    assert await ground.holder("people") == job
    if end is cancel_job:
        await ground.run(lose_worker, EndJob(job, 1, deploying_concerns))
        assert await ground.deployment(part) is Status.IN_PROGRESS
        await ground.run(cancel_job, CancelJob(job, "enough", deploying_concerns))
    else:
        await ground.run(end, EndJob(job, 1, deploying_concerns))
    assert {await ground.deployment(one) for one in (job, part)} == {status}
    assert await ground.holder("people") is None


async def test_a_dependency_that_is_done_stays_when_the_rest_fails(ground: Ground) -> None:
    people = await ground.package("people")
    job = await ground.deploying(await ground.package("sales", people))
    part = UUID(await ground.run(begin_dependency, BeginDependency(job, 1, people)))
    await ground.run(finish_dependency, FinishDependency(job, 1, part, DONE))
    assert await ground.holder("people") is None
    assert await ground.run(begin_dependency, BeginDependency(job, 1, people)) == ""
    await ground.run(change_installation, ChangeInstallation(job, 1, job))
    await ground.run(time_out_job, EndJob(job, 1, deploying_concerns))
    assert (await ground.deployment(part), await ground.deployment(job)) == (Status.DEPLOYED, Status.FAILED)
    assert await ground.holder("sales") is None


async def test_a_dependency_that_was_taken_back_before_a_retry_is_deployed_under_another_id(ground: Ground) -> None:
    people = await ground.package("people")
    job = await ground.deploying(await ground.package("sales", people))
    part = UUID(await ground.run(begin_dependency, BeginDependency(job, 1, people)))
    await ground.run(finish_dependency, FinishDependency(job, 1, part, DONE))
    await ground.run(time_out_job, EndJob(job, 1, deploying_concerns))
    back = UUID(await ground.run(roll_back_deployment, RollBackDeployment(part)))
    await ground.run(start_job, StartJob(back, "somebody"))
    await ground.run(change_installation, ChangeInstallation(back, 1, part))
    await ground.run(complete_job, CompleteJob(back, 1, {"tables": {}}, rolling_back_concerns))
    assert await ground.deployment(part) is Status.ROLLED_BACK
    await ground.run(retry_job, RetryJob(job, deploying_concerns))
    await ground.run(start_job, StartJob(job, "somebody"))
    await ground.run(start_deployment, OfJob(job, 2))
    other = UUID(await ground.run(begin_dependency, BeginDependency(job, 2, people)))
    assert other != part
    await ground.run(time_out_job, EndJob(job, 2, deploying_concerns))
    assert {await ground.deployment(one) for one in (job, other)} == {Status.FAILED}


async def test_who_lost_a_job_says_nothing_about_its_deployments_any_more(ground: Ground) -> None:
    people = await ground.package("people")
    job = await ground.deploying(await ground.package("sales", people))
    part = UUID(await ground.run(begin_dependency, BeginDependency(job, 1, people)))
    await ground.run(lose_worker, EndJob(job, 1, deploying_concerns))
    await ground.run(start_job, StartJob(job, "another"))
    late: list[tuple[Handler, OfJob]] = [
        (start_deployment, OfJob(job, 1)),
        (begin_dependency, BeginDependency(job, 1, people)),
        (finish_dependency, FinishDependency(job, 1, part, DONE)),
        (change_installation, ChangeInstallation(job, 1, job)),
    ]
    for handle, command in late:
        with pytest.raises(LeaseLost):
            await ground.run(handle, command)
    assert await ground.run(begin_dependency, BeginDependency(job, 2, people)) == str(part)


async def test_packages_that_depend_on_each_other_are_refused_by_name(ground: Ground) -> None:
    first, second = uuid4(), uuid4()
    await ground.package("first", second, package_id=first)
    await ground.package("second", first, package_id=second)
    with pytest.raises(Clash, match="in a circle: pkg-") as refused:
        await ground.run(deploy_package, DeployPackage(first, "staging", OPTIONS))
    assert all(str(one) in refused.value.message for one in (first, second))


async def test_a_long_chain_of_packages_is_refused(ground: Ground) -> None:
    last: tuple[UUID, ...] = ()

    async def define(work: Work, _: Any) -> str:
        nonlocal last
        for number in range(101):
            facts: dict[str, Any] = {"package_type": "database", "packed": PACKED, "dependencies": [*map(str, last)]}
            about: dict[str, Any] = {
                "version": "1",
                "description": None,
                "environment": None,
                "metadata": {},
                "requested_by": "me",
            }
            origin = {"original_id": None, "signed_by": None, "action_id": str(uuid4())}
            made = Package.import_(
                uuid4(), work.now, organisation=work.organisation, name=f"{number}", **facts, **about, **origin
            )
            work.add(made)
            last = (made.id,)
        return str(last[0])

    newest = UUID(await ground.run(define, None))
    with pytest.raises(Invalid, match="more than 99"):
        await ground.run(deploy_package, DeployPackage(newest, "staging", OPTIONS))


async def test_what_others_asked_for_meanwhile_is_decided_about_when_a_job_ends(ground: Ground) -> None:
    job = await ground.deploying(await ground.package("sales"))
    await ground.run(change_installation, ChangeInstallation(job, 1, job))
    await ground.run(complete_job, CompleteJob(job, 1, {"deployed": DONE}, deploying_concerns))
    elsewhere = Executor(ground.app.store, ground.app.executor.clock)
    around = await circumstances(ground.app, ground.organisation, "test")
    asked = await elsewhere.execute(ground.organisation, around, roll_back_deployment, RollBackDeployment(job))
    back = UUID(asked.resource)
    await ground.run(start_job, StartJob(back, "somebody"))
    await ground.run(change_installation, ChangeInstallation(back, 1, job))
    await ground.run(complete_job, CompleteJob(back, 1, {"tables": {}}, rolling_back_concerns))
    assert await ground.deployment(job) is Status.ROLLED_BACK


@pytest.mark.parametrize("what", ["deploy", "roll_back"])
async def test_what_was_called_off_after_the_targets_commit_was_done(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    package = await shop.pack()
    made = (await shop.deploy(package))["deployment"]["id"] if what == "roll_back" else ""
    done, real = asyncio.Event(), getattr(PostgresTarget, what)

    async def slow(self: PostgresTarget, *arguments: Any) -> Any:
        await real(self, *arguments)
        done.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(PostgresTarget, what, slow)
    doing = shop.roll_back(made) if made else shop.deploy(package)
    asking = asyncio.create_task(doing)
    await asyncio.wait_for(done.wait(), 20)
    (job,) = (await shop.ask("GET", "/jobs?status=processing"))["jobs"]
    await shop.ask("POST", f"/jobs/{job['job_id']}/cancel", json={})
    assert (await asyncio.wait_for(asking, 20))["deployment"]["status"] == ("rolled_back" if made else "completed")
    assert rows(shop.staging) == ([] if made else SOLD)


async def test_a_job_gives_way_to_one_that_nobody_works_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploying, "GIVE_WAY_SECONDS", 0.0)
    package = await shop.pack()
    ground = Ground(shop.rollbook, shop.organisation)
    held = DeployPackage(UUID(package[4:]), "staging", {**OPTIONS})

    async def hold(work: Work, command: DeployPackage) -> str:
        job = UUID(await deploy_package(work, command))
        place = Installation.open(work.now, work.organisation, "staging", "shop-data")
        place.occupy(job, work.now)
        work.add(place)
        return str(job)

    late = DeployPackage(held.package_id, "staging", held.options, due_at=datetime(2999, 1, 1, tzinfo=UTC))
    holder = UUID(await ground.run(hold, late))
    job = (await shop.deploy(package, 202, run_as_background=True))["job_id"]
    waiting = await shop.job(job, "retry")
    assert "Another deployment" in waiting["last_error"]
    await ground.run(cancel_job, CancelJob(holder, None, deploying_concerns))
    await shop.job(job, "completed")
