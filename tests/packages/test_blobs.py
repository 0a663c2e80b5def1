"""Blobs, in a folder and in a bucket alike."""

import errno
import hashlib
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.blobs.choosing import blobs_of
from adapters.blobs.store import STEP, Blobs, told
from adapters.package_settings import PackageSettings
from domain.errors import NotFound, StorageFull, Unavailable
from tests.packages.conftest import pieces


async def whole(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def test_what_was_put_is_read_under_its_digest(any_store: Blobs) -> None:
    blob = await any_store.put(pieces(b"some ", b"bytes"))
    assert (blob.digest, blob.size) == (hashlib.sha256(b"some bytes").hexdigest(), 10)
    assert await whole(any_store.read(blob.digest)) == b"some bytes"
    assert await whole(any_store.read(blob.digest, 5)) == b"bytes"
    assert await any_store.size(blob.digest) == 10


async def test_large_bytes_come_back_in_pieces(any_store: Blobs) -> None:
    many = os.urandom(1 << 20)
    blob = await any_store.put(pieces(*[many] * 11))
    read = [len(piece) async for piece in any_store.read(blob.digest, 7)]
    assert sum(read) == 11 * len(many) - 7
    assert max(read) <= STEP


async def test_no_bytes_are_bytes_too(any_store: Blobs) -> None:
    blob = await any_store.put(pieces())
    assert await any_store.size(blob.digest) == 0
    assert await whole(any_store.read(blob.digest)) == b""


async def test_the_same_bytes_are_kept_once(any_store: Blobs) -> None:
    assert await any_store.put(pieces(b"same")) == await any_store.put(pieces(b"sa", b"me"))
    later = datetime.now(UTC) + timedelta(minutes=5)
    digests = [blob.digest async for blob in any_store.kept_before(later)]
    assert digests.count(hashlib.sha256(b"same").hexdigest()) == 1


async def test_deleted_bytes_are_gone(any_store: Blobs) -> None:
    blob = await any_store.put(pieces(b"short-lived"))
    await any_store.delete(blob.digest)
    await any_store.delete(blob.digest)
    assert await any_store.size(blob.digest) is None
    with pytest.raises(NotFound):
        await whole(any_store.read(blob.digest))


async def test_a_broken_stream_leaves_nothing(any_store: Blobs) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * (3 << 20)
        raise ConnectionResetError

    before = [blob async for blob in any_store.kept_before(datetime.now(UTC) + timedelta(minutes=5))]
    with pytest.raises(Unavailable):
        await any_store.put(broken())
    assert list(any_store.folder.iterdir()) == []
    assert [blob async for blob in any_store.kept_before(datetime.now(UTC) + timedelta(minutes=5))] == before


async def test_only_old_bytes_are_old(any_store: Blobs) -> None:
    await any_store.put(pieces(b"new"))
    assert [blob async for blob in any_store.kept_before(datetime.now(UTC) - timedelta(minutes=5))] == []


@pytest.mark.parametrize("digest", ["../../etc/passwd", "", "A" * 64, "0" * 63 + "\n"])
async def test_only_a_digest_names_bytes(store: Blobs, digest: str) -> None:
    with pytest.raises(NotFound):
        await store.size(digest)


async def test_what_a_dead_process_left_behind_is_removed_in_time(store: Blobs) -> None:
    store.folder.mkdir(parents=True)
    (store.folder / "incoming-1").write_bytes(b"half")
    (store.folder / "import-1" / "blobs").mkdir(parents=True)
    await store.forget_unfinished(datetime.now(UTC) - timedelta(days=1))
    assert (store.folder / "incoming-1").exists()
    await store.forget_unfinished(datetime.now(UTC) + timedelta(days=1))
    assert list(store.folder.iterdir()) == []


async def test_a_bucket_that_does_not_answer_is_told_without_its_keys(tmp_path: Path) -> None:
    gone = PackageSettings(
        blobs_url="s3://parts",
        blobs_endpoint="http://127.0.0.1:9",
        blobs_access_key=SecretStr("key"),
        blobs_secret_key=SecretStr("hunter2"),
    )
    with pytest.raises(Unavailable) as refused:
        await blobs_of(gone, tmp_path).put(pieces(b"x"))
    assert "hunter2" not in str(refused.value) and "127.0.0.1" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_a_full_disk_is_told_as_what_it_is() -> None:
    with pytest.raises(StorageFull), told():
        raise OSError(errno.ENOSPC, "full")
