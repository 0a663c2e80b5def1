"""Texts by which rows are found: an index takes no entry beyond some 2,700 bytes, and refusing one stops everything."""

from hashlib import sha256
from typing import Any

MAX_FILED = 200


def filed(value: Any) -> Any:
    """What stands in an indexed column for a value: of a long text its beginning and its hash, else the value."""
    if isinstance(value, str) and len(value) > MAX_FILED:
        return value[:MAX_FILED] + sha256(value.encode()).hexdigest()
    return value
