"""One deployment of a package at a time: a lease in the target, which runs out when its holder is gone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC
from time import monotonic
from uuid import uuid4

from pymongo.errors import DuplicateKeyError, PyMongoError

from adapters.databases.mongodb.session import Session
from domain.errors import Unavailable

LEASES = "rollbook_leases"
LEASE_MS = 300_000
RENEW_SECONDS = 30


@dataclass(slots=True)
class Lease:
    """Held by `token`. The server's clock alone says when it ends."""

    session: Session
    package: str
    token: str
    renewed: float

    async def keep(self, within: Session | None = None) -> None:
        """Goes on holding it. In a transaction this makes whoever takes it over, or the transaction, fail."""
        if within is None and monotonic() - self.renewed < RENEW_SECONDS:
            return
        session = within or self.session
        change = {"$set": {"until": await now(self.session) + LEASE_MS}}
        holder = {"_id": self.package, "token": self.token}
        result = await session.collection(LEASES).update_one(holder, change, session=session.within)
        if not result.matched_count:
            raise Unavailable("Another deployment of this package took over")
        self.renewed = monotonic()


@asynccontextmanager
async def leased(session: Session, package: str) -> AsyncIterator[Lease]:
    """The lease; Unavailable while somebody else holds it."""
    leases, token, moment = session.collection(LEASES), uuid4().hex, await now(session)
    try:
        await leases.insert_one({"_id": package, "token": token, "until": moment + LEASE_MS})
    except DuplicateKeyError:
        change = {"$set": {"token": token, "until": moment + LEASE_MS}}
        result = await leases.update_one({"_id": package, "until": {"$lt": moment}}, change)
        if not result.matched_count:
            raise Unavailable("Another deployment of this package is being made") from None
    try:
        yield Lease(session, package, token, monotonic())
    finally:
        with suppress(PyMongoError):
            await leases.delete_one({"_id": package, "token": token})


async def now(session: Session) -> int:
    """Milliseconds since 1970 by the server's clock."""
    told = await session.client.admin.command("hello")
    return int(told["localTime"].replace(tzinfo=UTC).timestamp() * 1000)
