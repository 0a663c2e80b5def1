"""Makes the indexes that a package describes; names and options are somebody else's, so that only some are taken."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import IndexModel

from adapters.databases.mongodb.extended import Json
from adapters.databases.mongodb.filters import parse_filter
from adapters.databases.mongodb.fitting import Part
from adapters.databases.mongodb.session import Session
from domain.errors import Invalid

DIRECTIONS = (1, -1, "2d", "2dsphere", "text", "hashed")
OPTIONS: Mapping[str, type] = {"unique": bool, "sparse": bool, "hidden": bool, "expireAfterSeconds": int}
MOST_INDEXES = 63
LONGEST_NAME = 127


async def missing_indexes(session: Session, part: Part) -> list[IndexModel]:
    """The indexes of a package that the target's collection lacks; Invalid says which cannot be one."""
    if len(part.facts.index_info) > MOST_INDEXES:
        raise Invalid(f"{part.name} has more than {MOST_INDEXES} indexes")
    models = [model_of(part.name, one) for one in part.facts.index_info if list(one.get("key", ())) != ["_id"]]
    there = await session.collection(part.name).index_information()
    return [one for one in models if one.document["name"] not in there]


def model_of(collection: str, said: Mapping[str, Any]) -> IndexModel:
    """One index."""
    keys, name = said.get("key"), said.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or "\0" in name or name.startswith("*"):
        raise Invalid(f"An index of {collection} has no name that it can have")
    if not isinstance(keys, Mapping) or not keys or not all(map(is_key, keys.items())):
        raise Invalid(f"The index '{name}' of {collection} is about nothing that can be indexed")
    options: Json = {option: said[option] for option in OPTIONS if option in said}
    if any(type(value) is not OPTIONS[option] for option, value in options.items()):
        raise Invalid(f"The index '{name}' of {collection} has an option that means nothing")
    if "partialFilterExpression" in said:
        options["partialFilterExpression"] = parse_filter(said["partialFilterExpression"], collection)
    if isinstance(said.get("collation"), Mapping):
        options["collation"] = {k: v for k, v in said["collation"].items() if k != "version"}
    return IndexModel([(field, said_direction(one)) for field, one in keys.items()], name=name, **options)


def is_key(pair: tuple[Any, Any]) -> bool:
    """Whether a field can be indexed so."""
    field, direction = pair
    is_field = bool(field) and "\0" not in field and not field.startswith("$")
    return is_field and not isinstance(direction, bool) and said_direction(direction) in DIRECTIONS


def said_direction(said: Any) -> Any:
    """A direction, however it was written."""
    if isinstance(said, float) and said in DIRECTIONS:
        return int(said)
    return said if isinstance(said, int | str) else None


async def drop_indexes(session: Session, made: Sequence[Sequence[str]]) -> None:
    """Takes indexes away again that a deployment made."""
    for collection, name in made:
        if name in await session.collection(collection).index_information():
            await session.collection(collection).drop_index(name)
