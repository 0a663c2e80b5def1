"""What was packed, as events tell it: where it lies and how much it is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Packed:
    """`manifest` is the digest of the blob that describes everything else. `checksum` (SHA-256) and `size` (bytes) are
    those of the package document; `records` counts the rows of each table or the documents of each collection."""

    manifest: str
    checksum: str
    size: int
    database_type: str
    records: dict[str, int]
