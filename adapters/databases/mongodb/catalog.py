"""What a MongoDB database holds: collections with the types of their ids and their indexes."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from bson import json_util

from adapters.databases.mongodb.extended import Json, to_json, type_of
from adapters.databases.mongodb.session import Session
from domain.dataset import Table
from domain.errors import Invalid

OURS = "rollbook_"
SAMPLE = 100
LONGEST_NAME = 235


async def read_catalog(session: Session) -> Mapping[str, Table]:
    """Every collection that holds documents of users, by name."""
    found = await session.database.list_collections()
    kinds = {one["name"]: one.get("type", "collection") async for one in found}
    return {name: table(name) for name in sorted(kinds) if kinds[name] == "collection" and is_ordinary(name)}


async def refuse_others(session: Session, names: Iterable[str]) -> None:
    """Invalid says of what is there and is no collection that documents can be written to what it is."""
    found = await session.database.list_collections(filter={"name": {"$in": list(names)}})
    async for one in found:
        if (kind := one.get("type", "collection")) != "collection":
            raise Invalid(f"'{one['name']}' is a {kind}; only collections are deployed to")


def table(name: str) -> Table:
    """A collection; which fields its documents have is theirs to say."""
    return Table(name, "", (), ("_id",))


def is_ordinary(name: str) -> bool:
    """Whether a name is one of a user's collection."""
    return not name.startswith(("system.", OURS))


def refuse_name(name: str) -> None:
    """Invalid for what must not be the name of a collection to write to."""
    bad = not name or not is_ordinary(name) or "$" in name or "\0" in name or name[:1] == "." or name[-1:] == "."
    if bad or len(name.encode()) > LONGEST_NAME:
        raise Invalid(f"{name[:100]!r} cannot be the name of a collection")


async def id_types(session: Session, name: str) -> set[str]:
    """The types of the first ids of a collection."""
    return {type_of(to_json(one)["_id"]) async for one in session.find(name, {}, "_id", most=SAMPLE)}


async def read_indexes(session: Session, name: str) -> tuple[Json, ...]:
    """The indexes of a collection as the server describes them, but for that of ids."""
    found = [one async for one in await session.collection(name).list_indexes()]
    return tuple(described(one) for one in found if list(one["key"]) != ["_id"])


def described(index: Mapping[str, Any]) -> Json:
    """An index as JSON."""
    text = json_util.dumps(index, json_options=json_util.RELAXED_JSON_OPTIONS)
    found: Json = orjson.loads(text)
    return {name: value for name, value in found.items() if name not in ("v", "ns", "background")}
