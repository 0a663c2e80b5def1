"""What a backup says of itself: its moment, its key, and what each part must be."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

FORMAT_VERSION = 3
# What is copied, in the order in which it is restored. Snapshots and read models follow from the log. How far
# checkpoints were exported is left out on purpose: behind the backup numbers mean others, so all are told anew. What
# deliveries were is left out too: asked about a moment before the restore, their list refuses.
TABLES: Mapping[str, tuple[str, ...]] = {
    "events": (
        *("position", "commit_position", "event_id", "stream_id", "version", "topic", "schema_version"),
        *("organisation", "sequence", "recorded_at", "envelope", "payload", "previous_hash", "hash"),
    ),
    "taken_keys": ("organisation", "key", "stream_id"),
    "commands": ("command_id", "request_digest", "status", "resource", "position", "recorded_at"),
    "organisations": ("organisation", "owner_id", "wrapped_key"),
    "people": ("organisation", "actor_id", "fingerprint", "wrapped_key", "sealed_login"),
    "leases": ("deployment_id", "organisation", "fence", "expires_at"),
    "erasures": ("organisation", "actor_id", "erased_at"),
    "job_logs": ("job_id", "number", "organisation", "attempt", "at", "line"),
    "job_log_parts": ("job_id", "last_number", "organisation", "digest", "size", "kept_at"),
    "uploads": ("upload_id", "organisation", "length", "metadata", "created_at", "expires_at"),
    "upload_pieces": ("upload_id", "place", "organisation", "digest", "size"),
    "sealed_checkpoints": ("number", "position", "epoch", "sealed_at", "text", "signature", "public_key"),
    "checkpoint_heads": ("number", "place", "organisation", "leaf", "path"),
    "organisation_erasures": ("organisation", "key_digest", "erased_at"),
    "webhook_endpoints": (
        *("webhook_id", "organisation", "sealed_url", "url_position", "sealed_secret", "secret_position"),
        *("sealed_previous", "previous_until", "kept_at"),
    ),
    "webhook_progress": ("only_row", "position"),
    "webhook_followers": (
        *("webhook_id", "organisation", "filters", "paused", "behind_sequence", "failing_since", "failures"),
        *("rests_until", "leased_until", "taken_at"),
    ),
    "webhook_deliveries": (
        *("webhook_id", "position", "organisation", "delivery_id", "event_id", "topic", "state", "attempts", "due_at"),
        *("queued_at", "first_tried_at", "tried_at", "status", "problem"),
    ),
}
# What came with each format: a backup of an older one has it not.
ADDED = {
    2: frozenset({"job_logs", "job_log_parts", "uploads", "upload_pieces"}),
    3: frozenset({"webhook_endpoints", "webhook_progress", "webhook_followers", "webhook_deliveries"})
    | {"sealed_checkpoints", "checkpoint_heads", "organisation_erasures"},
}
# A forged number beyond this would leave no room for the epochs to come.
LAST_EPOCH = 2**30
Count = Annotated[int, Field(ge=0, lt=2**63)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
StoreName = Literal["packages", "job-logs"]


class Part(BaseModel):
    """One file in the archive: rows of one table, in the binary format of COPY."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    file: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,60}\.copy$")]
    table: Annotated[str, Field(max_length=60)]
    rows: Count
    bytes: Count
    sha256: Digest


class BlobPart(BaseModel):
    """One blob in the archive, named by its digest; which store it belongs to."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    store: StoreName
    digest: Digest
    size: Count

    @property
    def file(self) -> str:
        """Where it lies in the archive."""
        return f"blobs/{self.store}/{self.digest}"


class Manifest(BaseModel):
    """What a backup holds. `key_id` tells master keys apart without telling the key; None: it was not known.

    Format 1 has no blobs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["rollbook backup"] = "rollbook backup"
    format_version: Literal[1, 2, 3] = 3
    rollbook: Annotated[str, Field(max_length=100)]
    store_id: UUID
    epoch: Annotated[int, Field(ge=1, le=LAST_EPOCH)]
    last_position: Count
    last_recorded_at: datetime | None
    taken_at: datetime
    key_id: Annotated[str | None, Field(pattern=r"^[0-9a-f]{32}$")]
    key_included: bool
    parts: list[Part]
    blobs: tuple[BlobPart, ...] = ()

    @model_validator(mode="after")
    def complete(self) -> Self:
        """Every table is there, each file once, and as many events as positions."""
        later = (names for version, names in ADDED.items() if version > self.format_version)
        wanted = TABLES.keys() - frozenset().union(*later)
        if {part.table for part in self.parts} != wanted or (self.blobs and self.format_version == 1):
            raise ValueError("a table is missing")
        if len({*(part.file for part in self.parts), *(blob.file for blob in self.blobs)}) != len(self.parts) + len(
            self.blobs
        ):
            raise ValueError("a file is named twice")
        if sum(part.rows for part in self.parts if part.table == "events") != self.last_position:
            raise ValueError("there are not as many events as positions")
        return self

    @property
    def rows(self) -> int:
        """How many rows there are in all parts."""
        return sum(part.rows for part in self.parts)

    def encoded(self) -> bytes:
        """The bytes that stand in the archive."""
        return self.model_dump_json(indent=2).encode()

    @property
    def digest(self) -> str:
        """Names the whole content of the backup: whoever keeps it apart can tell a forged one."""
        return hashlib.sha256(self.encoded()).hexdigest()
