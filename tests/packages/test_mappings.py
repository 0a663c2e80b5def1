"""Mappings that are kept: all of them or none, read in the order in which they were told."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from adapters.blobs.store import Blobs
from adapters.packages.mappings import BlobMappings, parts_of
from adapters.postgres import codec
from domain.errors import Invalid, NotFound, Unavailable

Pairs = list[tuple[str, str]]
MANY = [(f"{n:07}", str(n)) for n in range(25_000)]
ODD = [('["a","1"]', "\n"), ("ü\0", '"'), ("", "=1+1")]


@dataclass
class Remembering:
    """A target that remembers this, a thousand pairs at a time, until it goes away."""

    told: dict[str, Pairs]
    goes_away: bool = False

    async def keys(self, deployment_id: str, table: str) -> AsyncGenerator[Sequence[tuple[str, str]], None]:
        for start in range(0, len(self.told[table]), 1000):
            yield self.told[table][start : start + 1000]
        if self.goes_away:
            raise Unavailable("It went")


async def read(mappings: BlobMappings, digest: str, table: str) -> Pairs:
    return [pair async for batch in mappings.pairs(digest, table) for pair in batch]


async def test_mappings_come_back_as_they_were_told(any_store: Blobs) -> None:
    mappings, target = BlobMappings(any_store), remembering(many=MANY, odd=ODD, none=[])
    digest = await mappings.keep(target, "d", ["many", "odd", "none"])
    assert [await read(mappings, digest, one) for one in ("many", "odd", "none")] == [MANY, ODD, []]
    assert await mappings.keep(target, "d", ["many", "odd", "none"]) == digest


def remembering(**told: Pairs) -> Any:
    return Remembering(told)


async def test_of_a_target_that_goes_away_nothing_is_kept(store: Blobs) -> None:
    gone: Any = Remembering({"many": MANY}, goes_away=True)
    with pytest.raises(Unavailable, match="It went"):
        await BlobMappings(store).keep(gone, "d", ["many"])
    assert [blob async for blob in store.kept_before(datetime.max.replace(tzinfo=UTC))] == []


@pytest.mark.parametrize("lost", ["list", "part"])
async def test_what_is_gone_or_damaged_is_told_as_that(store: Blobs, lost: str) -> None:
    mappings = BlobMappings(store)
    digest = await mappings.keep(remembering(odd=ODD), "d", ["odd"])
    blob = digest if lost == "list" else (await parts_of(store, digest))["odd"].blob
    path = store.folder.parent / "kept" / blob[:2] / blob
    path.write_bytes(path.read_bytes()[:-3] + b"xyz")
    with pytest.raises(Invalid, match="damaged"):
        await read(mappings, digest, "odd")
    path.unlink()
    with pytest.raises(NotFound, match="The mapping of this deployment is gone"):
        await read(mappings, digest, "odd")


def test_of_deployments_before_mappings_were_kept_there_is_none() -> None:
    payload = b'{"action_id":"x","database_name":"shop","tables":{},"keys":{},"mapped":{"a":1},"warnings":[]}'
    event: Any = codec.decode("data_deployment.deployed", 1, payload, UUID(int=7), 2, datetime.now(UTC))
    assert event.kept is None
