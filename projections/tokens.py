"""Tokens as administrators list them, and as authentication finds them by their hash."""

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.recorded import RecordedEvent
from projections.read_model import Row, moment


class Tokens:
    """One row a token, also after it was revoked. `owner` is a pseudonym."""

    name: ClassVar[str] = "tokens"
    version: ClassVar[int] = 2
    aggregates: ClassVar[tuple[str, ...]] = ("token",)
    columns: ClassVar[Mapping[str, str]] = {"created_position": "bigint", "sha256": 'text collate "C"'}
    indexes: ClassVar[Mapping[str, str]] = {
        "newest": "btree (organisation, created_position desc)",
        "by_hash": "btree (sha256)",
    }

    def key(self, event: RecordedEvent) -> str | None:
        """Tokens are keyed by their own id."""
        return event.stream_id[6:] if event.stream_id.startswith("token-") else None

    def fold(self, row: Row | None, event: RecordedEvent, data: dict[str, Any]) -> Row | None:
        """Issued makes the row, revoked ends it."""
        at = moment(event.recorded_at)
        if event.topic == "token.issued":
            facts = {
                "id": event.stream_id[6:],
                "created_at": at,
                "revoked_at": None,
                "created_position": event.position,
            }
            return {**data, **facts}
        if row is None:
            raise ValueError("token.revoked before token.issued")
        return {**row, "revoked_at": at}
