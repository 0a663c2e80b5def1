"""Tries a MongoDB database, without a word of its address in what is told."""

from time import perf_counter
from typing import Any
from urllib.parse import unquote, urlsplit

from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError, InvalidURI, OperationFailure, PyMongoError

from application.ports.environments import Access
from domain.errors import Unavailable

CONNECT_SECONDS = 5
WRITING = {"insert", "update", "remove"}
ROOTS = {"root", "__system"}
WRITERS = {"readWrite", "dbOwner"}
REASONS = {18: "it refuses the user or the password", 13: "it lets this user do nothing"}


async def probe(dsn: str) -> Access:
    """What the address gives; Unavailable says why it gives nothing."""
    limits: dict[str, Any] = dict.fromkeys(
        ("serverSelectionTimeoutMS", "connectTimeoutMS", "socketTimeoutMS"), CONNECT_SECONDS * 1000
    )
    try:
        client: AsyncMongoClient[Any] = AsyncMongoClient(dsn, **limits)
        async with client:
            return await access(client, database_name(dsn))
    except (PyMongoError, ValueError) as fault:
        raise Unavailable(f"The database cannot be used: {reason(fault)}") from None


async def access(client: AsyncMongoClient[Any], database: str) -> Access:
    """What the user may do. A server that asks nobody who they are lets everybody do everything."""
    server = await client.server_info()
    began = perf_counter()
    told = await client.admin.command("hello")
    latency = (perf_counter() - began) * 1000
    status = await client.admin.command("connectionStatus", showPrivileges=True)
    who: dict[str, Any] = status.get("authInfo", {})
    roles = who.get("authenticatedUserRoles", ())
    is_superuser = not who.get("authenticatedUsers") or any(role.get("role") in ROOTS for role in roles)
    may = may_write(who.get("authenticatedUserPrivileges", ()), database) or writes(roles, database)
    can_write = bool(told.get("isWritablePrimary", told.get("ismaster", False))) and (is_superuser or may)
    return Access(f"MongoDB {server['version']}", round(latency, 2), can_write, is_superuser)


def may_write(privileges: Any, database: str) -> bool:
    """Whether one of the privileges is to write in this database."""
    return any(
        WRITING & set(one.get("actions", ())) and one.get("resource", {}).get("db", database) in ("", database)
        for one in privileges
    )


def writes(roles: Any, database: str) -> bool:
    """Whether one of the roles that every server has is to write in this database; some servers list no privileges."""
    return any(
        (one.get("role") in WRITERS and one.get("db") == database) or one.get("role") == "readWriteAnyDatabase"
        for one in roles
    )


def reason(fault: Exception) -> str:
    """Why there is no access, in words of ours: those of others repeat hosts and users."""
    if isinstance(fault, OperationFailure):
        return REASONS.get(fault.code or 0, "it refuses")
    if isinstance(fault, InvalidURI | ConfigurationError | ValueError):
        return "its address is none of MongoDB's"
    return f"no answer within {CONNECT_SECONDS} s"


def database_name(dsn: str) -> str:
    """What the DSN calls the database; ValueError when it is none of MongoDB's."""
    scheme, found, rest = dsn.partition("://")
    # Hosts may have commas between them, which urlsplit takes for one.
    name = unquote(urlsplit(f"//{rest}").path.lstrip("/")) if found and scheme in ("mongodb", "mongodb+srv") else ""
    if not name:
        raise ValueError("it is not the address of a MongoDB database, such as mongodb://host:27017/database")
    return name
