"""A MongoDB database that packages are deployed to, with what is needed to go back in collections of its own there."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace

from adapters.databases.mongodb import marks
from adapters.databases.mongodb.catalog import read_catalog
from adapters.databases.mongodb.chosen import notes
from adapters.databases.mongodb.deploying import Deployment
from adapters.databases.mongodb.differing import differences
from adapters.databases.mongodb.indexing import drop_indexes
from adapters.databases.mongodb.leasing import Lease, leased
from adapters.databases.mongodb.recovering import recover
from adapters.databases.mongodb.session import CONNECT_SECONDS, Session, opened
from adapters.databases.mongodb.staged import STAGE, Staged
from adapters.databases.mongodb.undoing import Undoing, refuse_losses
from adapters.databases.outcomes import read
from application.ports.databases import Contents, Difference, Order, Outcome, Recalled, Report
from domain.dataset import DatabaseKind, Table
from domain.errors import Clash, NotFound

MOST_IN_TRANSACTION = 5000
PAGE = 1000


@dataclass(frozen=True, slots=True)
class MongoTarget:
    """See the port. `dsn` needs `readWrite`, and `dbAdmin` where indexes are to be made."""

    dsn: str = field(repr=False)
    timeout_seconds: int = 3600
    connect_seconds: int = CONNECT_SECONDS
    most_in_transaction: int = MOST_IN_TRANSACTION
    lease_seconds: float = 60
    kind: DatabaseKind = DatabaseKind.MONGODB

    def opened(self) -> AbstractAsyncContextManager[Session]:
        """A session."""
        return opened(self.dsn, "target", self.timeout_seconds, self.connect_seconds)

    async def catalog(self) -> Mapping[str, Table]:
        """Every collection that there is; others are made when documents are deployed to them."""
        async with self.opened() as session:
            return await read_catalog(session)

    async def deploy(self, contents: Contents, order: Order, report: Report) -> Outcome:
        """All or nothing; what was made before under this id is only told again."""
        async with self.opened() as session:
            return await deploy(session, contents, order, report, self.most_in_transaction, self.lease_seconds)

    async def differences(self, contents: Contents, order: Order) -> Mapping[str, Difference]:
        """What `deploy` would do, found out by reading alone."""
        async with self.opened() as session:
            with notes(STAGE) as connection:
                order = replace(order, options=replace(order.options, force=False))
                facts = (contents, order, lambda table, rows: None, Staged(connection), 0)
                return await differences(Deployment(session, *facts, deep=True))

    async def roll_back(self, deployment_id: str, force: bool, report: Report) -> Outcome:
        """Restores what was before."""
        async with self.opened() as session:
            marker = await marks.deployment(session, deployment_id)
            if marker is None:
                raise NotFound("The target knows no such deployment")
            async with leased(session, marker["package"], self.lease_seconds) as lease:
                finished = await recover(session, marker["package"], lease)
                if deployment_id in finished:
                    return finished[deployment_id]
                return await self.undo(session, deployment_id, force, lease, report)

    async def undo(self, session: Session, deployment_id: str, force: bool, lease: Lease, report: Report) -> Outcome:
        """Takes it back, in one transaction where that is possible."""
        marker = await marks.deployment(session, deployment_id)
        if marker is None:
            raise NotFound("The target knows no such deployment")
        if marker["state"] == marks.UNDONE:
            raise Clash("The deployment was rolled back before")
        undoing = Undoing(session, marker, force, lease, report)
        if not force:
            await refuse_losses(undoing)
        records = await session.collection(marks.UNDO).count_documents({"deployment": deployment_id})
        if session.has_snapshots and records <= self.most_in_transaction:
            async with session.transaction() as within:
                await lease.keep(within)
                outcome = await Undoing(within, marker, force, None, report).run()
                await marks.turn(within, deployment_id, marks.UNDONE)
            await drop_indexes(session, marker["indexes"])
            return outcome
        await marks.turn(session, deployment_id, marks.UNDOING, force=force)
        outcome = await undoing.run()
        await drop_indexes(session, marker["indexes"])
        await marks.turn(session, deployment_id, marks.UNDONE)
        return outcome

    async def recall(self, package: str, deployment_id: str) -> Recalled | None:
        """What became of a deployment; Unavailable while somebody else changes the package's documents."""
        async with self.opened() as session, leased(session, package, self.lease_seconds) as lease:
            await recover(session, package, lease)
            marker = await marks.deployment(session, deployment_id)
            if marker is None:
                return None
            return Recalled(read(marker["outcome"]), marker["state"] == marks.UNDONE)

    async def keys(self, deployment_id: str, table: str) -> AsyncGenerator[Sequence[tuple[str, str]], None]:
        """The whole mapping of source ids to target ids."""
        async with self.opened() as session:
            if (marker := await marks.deployment(session, deployment_id)) is None:
                return
            condition = {"package": marker["package"], "collection": table}
            batch: list[tuple[str, str]] = []
            async for one in session.find(marks.LINEAGE, condition, "shown", "went", sort=[("source", 1)]):
                batch.append((one["shown"], one["went"]))
                if len(batch) == PAGE:
                    yield batch
                    batch = []
            if batch:
                yield batch


async def deploy(
    session: Session, contents: Contents, order: Order, report: Report, most: int, lease_seconds: float
) -> Outcome:
    """Everything, unless it was done before."""
    if order.options.dry_run:
        with notes(STAGE) as connection:
            return await Deployment(session, contents, order, report, Staged(connection), most).rehearse()
    await marks.prepare(session)
    async with leased(session, order.package, lease_seconds) as lease:
        await recover(session, order.package, lease)
        if before := await marks.deployment(session, order.deployment_id):
            return read(before["outcome"])
        with notes(STAGE) as connection:
            return await Deployment(session, contents, order, report, Staged(connection), most, lease).make()
