"""Parts: lines that go into the store and come back."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.blobs.store import Blobs
from adapters.packages.parts import read_page, read_part, write_part
from application.ports.databases import Lines
from domain.errors import Invalid
from domain.manifest import Part
from tests.packages.conftest import pieces


async def batches(*given: Sequence[bytes]) -> AsyncIterator[Lines]:
    for one in given:
        yield one


async def everything(store: Blobs, part: Part) -> list[bytes]:
    return [line async for lines in read_part(store, part) for line in lines]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(rows=st.lists(st.lists(st.binary(max_size=50).map(lambda line: line.replace(b"\n", b"")), max_size=20)))
async def test_lines_come_back_as_they_were(store: Blobs, rows: list[list[bytes]]) -> None:
    part = await write_part(store, batches(*rows))
    flat = [line for one in rows for line in one]
    assert await everything(store, part) == flat
    assert (part.rows, part.bytes) == (len(flat), sum(len(line) + 1 for line in flat))


async def test_a_part_that_is_far_smaller_when_compressed_comes_back_in_batches(store: Blobs) -> None:
    lines = [b"0" * 999] * 20_000
    part = await write_part(store, batches(lines))
    assert part.stored < part.bytes / 100
    sizes = [sum(map(len, found)) async for found in read_part(store, part)]
    assert sum(sizes) == 999 * 20_000 and max(sizes) < 2 << 20


async def test_one_line_may_be_longer_than_a_batch(store: Blobs) -> None:
    long = bytes(range(32, 120)) * 50_000
    part = await write_part(store, batches([b"a", long, b"b"]))
    assert await everything(store, part) == [b"a", long, b"b"]


async def test_the_same_lines_are_the_same_blob(store: Blobs) -> None:
    assert await write_part(store, batches([b"1"], [b"2"])) == await write_part(store, batches([b"1"], [b"2"]))


async def test_a_line_that_holds_a_line_end_is_refused(store: Blobs) -> None:
    with pytest.raises(Invalid):
        await write_part(store, batches([b"a\nb"]))


@pytest.mark.parametrize(
    "other", [{"rows": 2}, {"bytes": 5}, {"bytes": 4_000_000}, {"sha256": "0" * 64}], ids=lambda other: str(other)[:20]
)
async def test_a_part_that_is_not_as_the_manifest_says_is_refused(store: Blobs, other: dict[str, object]) -> None:
    part = await write_part(store, batches([b"1", b"2", b"3"]))
    with pytest.raises(Invalid, match="damaged"):
        await everything(store, replace(part, **other))  # type: ignore[arg-type]


async def test_bytes_that_end_too_early_or_go_on_are_refused(store: Blobs) -> None:
    part = await write_part(store, batches([b"%d" % n for n in range(1000)]))
    whole = b"".join([chunk async for chunk in store.read(part.blob)])
    for damaged in (whole[:-1], whole[: len(whole) // 2], whole + b"x", whole + whole, b"", b"no gzip at all"):
        blob = await store.put(pieces(damaged))
        with pytest.raises(Invalid, match="damaged"):
            await everything(store, replace(part, blob=blob.digest))


@pytest.mark.parametrize(("offset", "limit"), [(0, 10), (5, 3), (995, 10), (1000, 10), (0, 0), (999, 1), (10, 5000)])
async def test_a_page_holds_the_lines_that_were_asked_for(store: Blobs, offset: int, limit: int) -> None:
    lines = [b"%d" % n for n in range(1000)]
    part = await write_part(store, batches(lines[:300], lines[300:]))
    assert await read_page(store, part, offset, limit) == lines[offset : offset + limit]
