"""Connections to MongoDB databases of users: limits of time, and errors in words that tell nothing of the address."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from bson.errors import BSONError
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    ExecutionTimeout,
    InvalidURI,
    OperationFailure,
    PyMongoError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from adapters.databases.mongodb.extended import CODEC
from adapters.databases.probing.mongodb import database_name
from domain.errors import Clash, Invalid, RollbookError, Unavailable

CONNECT_SECONDS = 10
SOCKET_SECONDS = 120
DUPLICATE, UNFIT, CONFLICT = 11000, 121, 112
FORBIDDEN = frozenset({13, 18})
# Another try may mend these: elections, shutdowns, conflicts between transactions, snapshots that are too old.
PASSING = frozenset(
    {6, 7, 89, 91, 112, 134, 189, 239, 246, 251, 262, 317, 358, 9001, 10107, 11600, 11602, 13435, 13436}
)
WORDS = {DUPLICATE: "a value is there twice that must be unique", UNFIT: "a document is not as the collection wants it"}


@dataclass(frozen=True, slots=True)
class Session:
    """One database of a server. `has_snapshots` says that the server has snapshots and transactions."""

    client: AsyncMongoClient[Any]
    database: AsyncDatabase[Any]
    has_snapshots: bool
    timeout_seconds: int
    within: AsyncClientSession | None = None

    def collection(self, name: str) -> AsyncCollection[Any]:
        """A collection; what is written to it is there to stay once the server says so."""
        return self.database.get_collection(name, codec_options=CODEC, write_concern=WriteConcern(w="majority"))

    async def find(self, name: str, condition: Any, *fields: str, sort: Any = None, most: int = 0) -> Any:
        """Documents, one by one, in batches of the server's."""
        cursor = self.collection(name).find(
            condition,
            dict.fromkeys(fields, 1) if fields else None,
            session=self.within,
            sort=sort,
            limit=most,
            max_time_ms=self.timeout_seconds * 1000,
        )
        async with cursor:
            async for document in cursor:
                yield document

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator["Session"]:
        """The same, at one moment, where the server has snapshots."""
        if not self.has_snapshots:
            yield self
            return
        async with self.client.start_session(snapshot=True) as within:
            yield replace(self, within=within)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Session"]:
        """The same, in a transaction, which ends with the block."""
        concern = WriteConcern(w="majority")
        async with (
            self.client.start_session() as within,
            await within.start_transaction(read_concern=ReadConcern("snapshot"), write_concern=concern),
        ):
            yield replace(self, within=within)


@asynccontextmanager
async def opened(dsn: str, side: str, timeout_seconds: int, connect_seconds: int) -> AsyncIterator[Session]:
    """A session; `side` says in errors which database it is to."""
    try:
        client: AsyncMongoClient[Any] = AsyncMongoClient(
            dsn,
            serverSelectionTimeoutMS=connect_seconds * 1000,
            connectTimeoutMS=connect_seconds * 1000,
            socketTimeoutMS=SOCKET_SECONDS * 1000,
            appname="rollbook",
        )
        async with client:
            told = await client.admin.command("hello")
            has_snapshots = bool(told.get("setName")) or told.get("msg") == "isdbgrid"
            yield Session(client, client[database_name(dsn)], has_snapshots, timeout_seconds)
    except RollbookError:
        raise
    except (InvalidURI, ConfigurationError):
        raise Invalid(f"The {side}'s address is none of MongoDB's") from None
    except (PyMongoError, BSONError) as problem:
        raise told_of(problem, side) from None


def told_of(problem: Exception, side: str) -> RollbookError:
    """An error of the driver's as what is to be done about it."""
    if isinstance(problem, ExecutionTimeout):
        return Invalid(f"The {side} took longer than it may")
    if isinstance(problem, ConnectionFailure):
        return Unavailable(f"The {side} does not answer ({type(problem).__name__})")
    if isinstance(problem, OperationFailure):
        return refused(problem, side)
    if isinstance(problem, DocumentTooLarge):
        return Invalid(f"A document is too large for the {side}")
    return Invalid(f"The {side} does not take this ({type(problem).__name__})")


def refused(problem: OperationFailure, side: str) -> RollbookError:
    """What a server refuses; its own words may hold values of documents."""
    code = code_of(problem)
    if code in PASSING or problem.has_error_label("TransientTransactionError"):
        return Unavailable(f"The {side} cannot do this now (error {code})")
    if code in WORDS:
        return Clash(f"The {side} refused: {WORDS[code]}{place_of(problem)}")
    if code in FORBIDDEN:
        return Invalid(f"The {side} does not let this user do that")
    name = (problem.details or {}).get("codeName") or "error"
    return Invalid(f"The {side} refused ({name}, {code})")


def code_of(problem: OperationFailure) -> int:
    """The first number that the server gives."""
    if isinstance(problem, BulkWriteError):
        errors = problem.details.get("writeErrors") or problem.details.get("writeConcernErrors") or [{}]
        return int(errors[0].get("code") or 0)
    return int(problem.code or 0)


def place_of(problem: OperationFailure) -> str:
    """The fields that a unique index is about."""
    details: Any = problem.details or {}
    if isinstance(problem, BulkWriteError):
        details = (details.get("writeErrors") or [{}])[0]
    fields = ", ".join(map(str, details.get("keyPattern") or ()))
    return f" ({fields})" if fields else ""
