"""Where a queued deployment goes: the taxonomy, which names a lane."""

from dataclasses import dataclass
from functools import lru_cache
from json import dumps
from uuid import UUID, uuid5

LANES = UUID("5b0c7f0e-3f4e-5a53-9d0a-6a1c0e2a7f11")


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """What is deployed where; two deployments queue for one lane when all of this is equal, null to null."""

    name: str
    provider: str
    cloud_account_id: str | None = None
    region: str | None = None
    cell: str | None = None

    def lane_id(self, organisation: str) -> UUID:
        """The same for the same organisation and taxonomy, whoever computes it."""
        return lane_id(organisation, self)


@lru_cache(maxsize=10_000)
def lane_id(organisation: str, taxonomy: Taxonomy) -> UUID:
    """The id of a lane: UUIDv5 over its canonical taxonomy."""
    fields = (taxonomy.name, taxonomy.provider, taxonomy.cloud_account_id, taxonomy.region, taxonomy.cell)
    return uuid5(LANES, dumps([organisation, *fields], ensure_ascii=True, separators=(",", ":")))
