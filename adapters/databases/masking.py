"""Makes other values out of values: the same text becomes the same mask under one key, in every kind of database."""

import hmac
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from hashlib import sha256
from string import ascii_lowercase, ascii_uppercase, digits

from application.ports.databases import Mask
from domain.dataset import Column
from domain.errors import Invalid

SYLLABLES = ("ba", "do", "ka", "li", "mo", "na", "pe", "ra", "se", "ti", "vo", "ze", "fa", "gu", "he", "jo")
KINDS = (digits, ascii_lowercase, ascii_uppercase)
FIRST_DAY, MOST_DAYS = date(1971, 1, 1), 20_000
Masked = Callable[[str], str | None]
Making = Callable[[str, bytes], str]


def masked_by(column: Column, mask: Mask, making: Callable[[Column, str], Making]) -> Masked:
    """What becomes of a column's values; Invalid when they cannot be made up. `making` knows the types of a kind."""
    if mask.method not in METHODS:
        raise Invalid(f"'{mask.method[:50]}' is no way to mask a value")
    if mask.method == "null":
        if not column.is_nullable:
            raise Invalid(f"The column '{column.name}' takes no null, and cannot be masked with it")
        return lambda text: None
    made = making(column, mask.method)
    return lambda text: made(text, bytes_of(mask.key, text))


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


TEXTS: Mapping[str, Making] = {"hash": hashed, "fake": fake, "keep-format": formatted}
METHODS = {"null", *TEXTS}


def number(text: str, stream: bytes) -> str:
    """A number of as many digits; the first one never grows, so that it still fits its type."""
    sign, rest = ("-", text[1:]) if text.startswith("-") else ("", text)
    if not rest[:1].isdigit() or not set(rest) <= set("0123456789."):
        return "0"
    return sign + str(stream[-1] % (int(rest[0]) + 1)) + formatted(rest[1:], stream)


def day(stream: bytes) -> str:
    """Some day."""
    return (FIRST_DAY + timedelta(days=int.from_bytes(stream[:4]) % MOST_DAYS)).isoformat()
