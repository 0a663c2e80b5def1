"""Bundles take no more memory and no more of a disk than their contents are worth, whoever made them."""

import io
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pytest

from adapters.bundles.loading import groups
from adapters.bundles.manifest import MANIFEST, BundleRefused
from adapters.bundles.reading import check_packing, opened
from adapters.bundles.writing import Writer
from adapters.postgres.backup_archive import ENCRYPTED


def test_what_would_be_large_and_is_next_to_nothing_is_refused() -> None:
    part = ZipInfo("events.ndjson")
    part.compress_type, part.file_size = ZIP_DEFLATED, 2 * 1024**3
    part.compress_size = part.file_size // 20
    check_packing(part)
    part.compress_size = part.file_size // 1000
    with pytest.raises(BundleRefused):
        check_packing(part)


def test_a_manifest_that_says_that_it_is_encrypted_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bundle.zip"
    with ZipFile(file, "w") as archive:
        archive.writestr(MANIFEST, "{}")
    content = bytearray(file.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= ENCRYPTED
    file.write_bytes(content)
    with pytest.raises(BundleRefused, match="packed in a way"), opened(file):
        pass


def test_long_lines_are_never_many_at_once() -> None:
    long = {"text": "x" * 1024 * 1024}
    taken = list(groups(long for _ in range(100)))
    assert sum(map(len, taken)) == 100
    assert max(map(len, taken)) < 10
    assert list(map(len, groups({"n": n} for n in range(2500)))) == [1000, 1000, 500]


@pytest.mark.asyncio
async def test_what_is_written_takes_less_room_than_it_says() -> None:
    async def lines() -> AsyncIterator[str]:
        for number in range(1000):
            yield f'{{"position": {number}, "topic": "deployment.deployed"}}'

    file = io.BytesIO()
    writer = Writer(file)
    await writer.add("events.ndjson", lines())
    writer.zip.close()
    assert len(file.getvalue()) * 5 < writer.parts[0].bytes


@pytest.mark.asyncio
async def test_of_all_ids_it_remembers_those_of_people_alone() -> None:
    jane = str(uuid4())

    async def lines() -> AsyncIterator[str]:
        for _ in range(100):
            yield f'{{"id": "{uuid4()}", "actor": "{jane}"}}'

    writer = Writer(io.BytesIO(), frozenset((jane, str(uuid4()))))
    await writer.add("events.ndjson", lines())
    assert writer.named == {jane}
