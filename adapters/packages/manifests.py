"""Manifests in the store of blobs."""

import hashlib
from collections.abc import AsyncIterator

import orjson

from application.ports.blobs import Blob, BlobStore
from domain.errors import Invalid
from domain.manifest import Manifest, from_json

LARGEST_MANIFEST = 64 * 1024 * 1024


async def put_manifest(store: BlobStore, manifest: Manifest) -> Blob:
    """Keeps a manifest; the digest is what events name it by."""
    return await store.put(alone(orjson.dumps(manifest.to_json())))


async def get_manifest(store: BlobStore, digest: str) -> Manifest:
    """The manifest that is kept under a digest; the parts that it names are compared with it as they are read."""
    return parsed(await whole(store, digest, "The manifest of the package"))


async def whole(store: BlobStore, digest: str, called: str) -> bytes:
    """A small blob; Invalid when it is not what its digest says."""
    found = b""
    async for chunk in store.read(digest):
        found += chunk
        if len(found) > LARGEST_MANIFEST:
            raise Invalid(f"{called} is too large")
    if hashlib.sha256(found).hexdigest() != digest:
        raise Invalid(f"{called} is damaged: its checksum differs")
    return found


def parsed(text: bytes) -> Manifest:
    """The manifest that bytes hold; Invalid when they hold none."""
    try:
        return from_json(orjson.loads(text))
    except orjson.JSONDecodeError:
        raise Invalid("The manifest of the package is not JSON") from None


async def alone(piece: bytes) -> AsyncIterator[bytes]:
    """A stream of one piece."""
    yield piece
