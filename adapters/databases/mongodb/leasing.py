"""One change of a package's documents at a time: a lease in the target, which runs out when its holder is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC
from time import monotonic
from uuid import uuid4

import pymongo
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError

from adapters.databases.mongodb.session import CONFLICT, Session
from domain.errors import Unavailable

LEASES = "rollbook_leases"
LOOKS = 4


@dataclass(slots=True)
class Lease:
    """Held by `token`, and renewed in the background. The server's clock alone says when it ends for others."""

    session: Session
    package: str
    seconds: float
    token: str = field(default_factory=lambda: uuid4().hex)
    renewed: float = 0
    is_lost: bool = False
    is_in_transaction: bool = False

    def check(self) -> None:
        """Unavailable once somebody else may hold it: nothing more may be written."""
        if self.is_lost or monotonic() - self.renewed > self.seconds * (LOOKS - 1) / LOOKS:
            raise Unavailable("Another deployment of this package took over")

    async def keep(self, session: Session) -> None:
        """Goes on holding it. In a transaction this makes whoever takes it over, or the transaction, fail."""
        began, self.is_in_transaction = monotonic(), session.within is not None
        change = {"$set": {"until": await now(session) + self.milliseconds}}
        holder = {"_id": self.package, "token": self.token}
        result = await session.collection(LEASES).update_one(holder, change, session=session.within)
        self.is_lost |= not result.matched_count
        self.renewed = began
        self.check()

    @property
    def milliseconds(self) -> int:
        """How long it is given for."""
        return int(self.seconds * 1000)

    async def take(self) -> bool:
        """Takes it when nobody holds it; a transaction of who does may keep this waiting."""
        try:
            with pymongo.timeout(self.seconds):
                return await self.took()
        except PyMongoError as problem:
            if problem.timeout or (isinstance(problem, OperationFailure) and problem.code == CONFLICT):
                return False
            raise

    async def took(self) -> bool:
        """The same."""
        leases, moment, began = self.session.collection(LEASES), await now(self.session), monotonic()
        change = {"$set": {"token": self.token, "until": moment + self.milliseconds}}
        result = await leases.update_one({"_id": self.package, "until": {"$lt": moment}}, change)
        taken = bool(result.matched_count)
        if not taken:
            with suppress(DuplicateKeyError):
                await leases.insert_one({"_id": self.package, **change["$set"]})
                taken = True
        self.renewed = began
        return taken

    async def go_on(self) -> None:
        """Renews it again and again; an error is mended by the next time, or the lease runs out."""
        while not self.is_lost:
            await asyncio.sleep(self.seconds / LOOKS)
            with suppress(PyMongoError, Unavailable), pymongo.timeout(self.seconds):
                if not self.is_in_transaction:
                    await self.keep(self.session)


@asynccontextmanager
async def leased(session: Session, package: str, seconds: float) -> AsyncIterator[Lease]:
    """The lease; waits as long as one may be left behind, then Unavailable while somebody else holds it."""
    lease = Lease(session, package, seconds)
    for _ in range(LOOKS + 1):
        if await lease.take():
            break
        await asyncio.sleep(seconds / LOOKS)
    else:
        raise Unavailable("Another deployment of this package is being made")
    renewing = asyncio.create_task(lease.go_on())
    try:
        yield lease
    finally:
        renewing.cancel()
        await asyncio.wait([renewing])
        with suppress(PyMongoError):
            await session.collection(LEASES).delete_one({"_id": package, "token": lease.token})


async def now(session: Session) -> int:
    """Milliseconds since 1970 by the server's clock."""
    told = await session.client.admin.command("hello")
    return int(told["localTime"].replace(tzinfo=UTC).timestamp() * 1000)
