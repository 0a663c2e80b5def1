"""Names the NATS subject of an event: `rollbook.<organisation>.<aggregate>.<event>`, always four tokens."""

from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote

ROOT = "rollbook"
EVERYTHING = f"{ROOT}.>"
LONGEST_TOKEN = 200
_KEPT = 160


@lru_cache(maxsize=4096)
def subject(organisation: str, topic: str) -> str:
    """The subject for an event of this topic, such as `deployment.scheduled`."""
    aggregate, _, event = topic.partition(".")
    return f"{ROOT}.{token(organisation)}.{token(aggregate)}.{token(event)}"


def token(name: str) -> str:
    """Any text as one token: all but letters, digits, `-` and `_` is percent-encoded as UTF-8.

    `~` is never part of an encoded name, so it marks what cannot be encoded plainly: a name that is empty (`~`),
    or one longer than LONGEST_TOKEN, which keeps its beginning, `~` and 32 hex digits of its SHA-256.
    """
    encoded = quote(name, safe="").replace(".", "%2E").replace("~", "%7E")
    if len(encoded) <= LONGEST_TOKEN:
        return encoded or "~"
    return f"{encoded[:_KEPT]}~{sha256(name.encode()).hexdigest()[:32]}"
