"""Stores of blobs: a folder, and a bucket of a real S3 server."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from adapters.blobs.choosing import blobs_of
from adapters.blobs.store import Blobs
from adapters.package_settings import PackageSettings
from adapters.packages.importing import Importer
from adapters.packages.limits import Limits
from adapters.packages.signing import Signer, Trust
from tests.packages.market import dev, idle, looked_at, market, staging

__all__ = ["dev", "idle", "looked_at", "market", "staging"]


@pytest.fixture(scope="session")
def bucket() -> Iterator[PackageSettings]:
    """The settings of a bucket on this machine."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield bucket_at(f"http://{host}:{port}")
    server.stop()


def bucket_at(endpoint: str) -> PackageSettings:
    """The settings of a bucket, which is made."""
    httpx2.put(f"{endpoint}/parts", headers={"authorization": "AWS4-HMAC-SHA256 Credential=a/20200101/us-east-1/s3/x"})
    return PackageSettings(
        blobs_url="s3://parts/of/acme",
        blobs_endpoint=endpoint,
        blobs_access_key=SecretStr("key"),
        blobs_secret_key=SecretStr("hunter2"),
    )


@pytest.fixture
def store(tmp_path: Path) -> Blobs:
    """Blobs in a folder."""
    return blobs_of(PackageSettings(), tmp_path)


@pytest.fixture(params=["folder", "bucket"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    """Each kind of store in turn."""
    kind = request.param
    return blobs_of(request.getfixturevalue("bucket") if kind == "bucket" else PackageSettings(), tmp_path)


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    """Bytes on their way."""
    for chunk in chunks:
        yield chunk


LIMITS = Limits(file=1 << 26, unpacked=1 << 27, ratio=50)


@pytest.fixture
def signer() -> Signer:
    """A key of our own."""
    return Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))


@pytest.fixture
def importer(store: Blobs, tmp_path: Path, signer: Signer) -> Importer:
    """Takes packages into the folder."""
    return Importer(store, tmp_path / "work", LIMITS, Trust(frozenset({signer.public})))
