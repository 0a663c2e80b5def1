"""What a package says of a document, apart from what else is in the target's; embedded documents are joined."""

from collections.abc import Mapping
from typing import Any

from adapters.databases.mongodb.extended import Json, is_embedded


def shape_of(document: Mapping[str, Any]) -> Json:
    """Which fields a document has: for each the shape of the document there, or nothing."""
    return {n: shape_of(one) if is_embedded(one) else None for n, one in document.items() if n != "_id"}


def part_of(document: Mapping[str, Any], shape: Mapping[str, Any]) -> Json:
    """Only these fields."""
    return {
        name: part_of(document[name], inner) if inner and is_embedded(document[name]) else document[name]
        for name, inner in shape.items()
        if name in document
    }


def merged(document: Mapping[str, Any], packed: Mapping[str, Any]) -> Json:
    """The document with the packed fields as they are in the package; no other field is touched."""
    found = dict(document)
    for name, one in packed.items():
        old = document.get(name)
        found[name] = merged(old, one) if old and is_embedded(one) and is_embedded(old) else one
    return found


def restored(document: Mapping[str, Any], shape: Mapping[str, Any], before: Mapping[str, Any]) -> Json:
    """The document with these fields as they were before."""
    found = dict(document)
    for name, inner in shape.items():
        if name not in before:
            found.pop(name, None)
        elif inner and is_embedded(document.get(name)) and is_embedded(before[name]):
            found[name] = restored(document[name], inner, before[name])
        else:
            found[name] = before[name]
    return found
