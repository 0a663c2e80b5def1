"""Ids as users write them: behind the prefix that a document shows."""

from uuid import UUID

from domain.errors import NotFound


def parse_id(text: str, prefix: str, thing: str) -> UUID:
    """The id behind its prefix; NotFound when it cannot be one of such a thing."""
    try:
        found = UUID(text.removeprefix(prefix))
    except ValueError:
        raise NotFound(f"{thing} not found") from None
    if text.lower() != f"{prefix}{found}":
        raise NotFound(f"{thing} not found")
    return found
