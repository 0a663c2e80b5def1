"""What a package can be."""

from enum import StrEnum


class PackageStatus(StrEnum):
    """The life of a package. One that is being packed, or could not be, holds nothing yet."""

    PACKING = "packing"
    FAILED = "failed"
    ACTIVE = "active"
    ARCHIVED = "archived"
    DELETED = "deleted"
