"""Masks values of documents: the same value becomes the same mask under one key, of its own type where that can be."""

from base64 import b64encode
from typing import Any

from adapters.databases.masking import MOST_DAYS, TEXTS, bytes_of, number
from adapters.databases.mongodb.extended import NUMBERS, is_wrapped, key_of
from application.ports.databases import Mask

DAY = 86_400_000


def masked(value: Any, mask: Mask) -> Any:
    """What is packed in the place of a value; nothing stays nothing."""
    if value is None or mask.method == "null":
        return None
    if isinstance(value, list):
        return [masked(one, mask) for one in value]
    if isinstance(value, dict) and not is_wrapped(value):
        return {name: masked(one, mask) for name, one in value.items()}
    stream = bytes_of(mask.key, key_of(value))
    if isinstance(value, str):
        return TEXTS[mask.method](value, stream)
    return wrapped(value, stream) if isinstance(value, dict) else bool(stream[0] & 1)


def wrapped(value: dict[str, Any], stream: bytes) -> Any:
    """A value of another type than text: one of that type, where the type is one that can be made up."""
    name, inner = next(iter(value.items()))
    if name == "$oid":
        return {name: stream.hex()[:24]}
    if name in NUMBERS:
        return {name: number(str(inner), stream)}
    if name == "$date":
        return {name: {"$numberLong": str(int.from_bytes(stream[:4]) % MOST_DAYS * DAY)}}
    if name == "$binary" and inner.get("subType") == "04":
        return {name: {"base64": b64encode(stream[:16]).decode(), "subType": "04"}}
    return stream.hex()[:32]
