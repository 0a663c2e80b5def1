"""Masks values of documents: the same value becomes the same mask under one key, of its own type where that can be."""

import hmac
from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any

from adapters.databases.mongodb.extended import NUMBERS, is_wrapped, key_of
from application.ports.databases import Mask

SYLLABLES = ("ba", "do", "ka", "li", "mo", "na", "pe", "ra", "se", "ti", "vo", "ze", "fa", "gu", "he", "jo")
KINDS = (digits, ascii_lowercase, ascii_uppercase)
MOST_DAYS = 20_000
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


def bytes_of(key: str, text: str) -> bytes:
    """Bytes that only who has the key can tell from chance."""
    return hmac.digest(key.encode(), text.encode(), sha256)


def stretched(stream: bytes, size: int) -> bytes:
    """More of them."""
    blocks = [hmac.digest(stream, number.to_bytes(4), sha256) for number in range(size // 32 + 1)]
    return b"".join(blocks)[:size]


def hashed(text: str, stream: bytes) -> str:
    """Nothing of the text is left."""
    return stream.hex()[:32]


def fake(text: str, stream: bytes) -> str:
    """Something that one can say; an address of mail stays one."""
    word = "".join(SYLLABLES[byte % len(SYLLABLES)] for byte in stream[:4])
    if "@" in text:
        return f"{word}{stream[4:8].hex()}@example.com"
    return f"{word.capitalize()} {''.join(SYLLABLES[byte % len(SYLLABLES)] for byte in stream[8:12]).capitalize()}"


def formatted(text: str, stream: bytes) -> str:
    """Digits and letters become others; all else stays where it is."""
    return "".join(map(replaced, text, stretched(stream, len(text))))


def replaced(character: str, byte: int) -> str:
    """Another one of its kind."""
    for kind in KINDS:
        if character in kind:
            return kind[byte % len(kind)]
    return ascii_lowercase[byte % 26] if character.isalnum() else character


TEXTS: Mapping[str, Callable[[str, bytes], str]] = {"hash": hashed, "fake": fake, "keep-format": formatted}


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


def number(text: str, stream: bytes) -> str:
    """A number of as many digits; the first one never grows, so that it still fits its type."""
    sign, rest = ("-", text[1:]) if text.startswith("-") else ("", text)
    if not rest[:1].isdigit() or not set(rest) <= set("0123456789."):
        return "0"
    return sign + str(stream[-1] % (int(rest[0]) + 1)) + formatted(rest[1:], stream)
