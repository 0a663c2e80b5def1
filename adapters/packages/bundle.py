"""Rollbook's own file for packages: a zip with the parts as they lie in the store, a manifest, and a signature.

`manifest.json` vouches by SHA-256 for each part and says everything about the package; `signature.json` is an Ed25519
signature under the bytes of `manifest.json`; `parts/00000.ndjson.gz` and so on are the rows of its tables, in order.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any
from zipfile import ZipFile

import orjson
from pydantic import TypeAdapter, ValidationError

from adapters.packages.archives import blocks, whole
from adapters.packages.limits import Limits
from adapters.packages.manifests import LARGEST_MANIFEST, alone
from adapters.packages.parts import in_thread, read_part
from adapters.packages.signing import Signer, Trust
from adapters.packages.understanding import PackageTold, told
from adapters.packages.zip_file import DEFLATED, STORED, write_members
from application.ports.blobs import BlobStore
from application.ports.databases import Lines
from domain.dataset import DatabaseKind
from domain.errors import Invalid
from domain.manifest import Manifest, PackageInfo, PackedTable, from_json

MANIFEST, SIGNATURE = "manifest.json", "signature.json"
FORMAT = "rollbook bundle"
LARGEST_SIGNATURE = 4096
INFO = TypeAdapter(PackageInfo)


def part_name(number: int) -> str:
    """What the part of a table is called in a bundle."""
    return f"parts/{number:05}.ndjson.gz"


async def write_bundle(
    manifest: Manifest, info: PackageInfo, store: BlobStore, signer: Signer
) -> AsyncGenerator[bytes, None]:
    """A signed bundle."""
    text = orjson.dumps({"format": FORMAT, "package": info, "manifest": manifest.to_json()})
    signature = {"algorithm": "ed25519", "public_key": signer.public, "signature": signer.sign(text)}
    members: Sequence[tuple[str, AsyncIterator[bytes], int]] = [
        (MANIFEST, alone(text), DEFLATED),
        (SIGNATURE, alone(orjson.dumps(signature)), DEFLATED),
        *((part_name(n), store.read(one.part.blob), STORED) for n, one in enumerate(manifest.tables)),
    ]
    async for piece in write_members(info.created_at, members):
        yield piece


class Bundle:
    """A bundle that somebody sends: its manifest and signature are checked, its parts are not yet."""

    def __init__(self, archive: ZipFile, trust: Trust) -> None:
        self.archive = archive
        self.members = {member.filename: member for member in archive.infolist()}
        text = whole(archive, self.members[MANIFEST], LARGEST_MANIFEST)
        self.signed_by = self.verified(text, trust)
        said = loaded(text)
        if said.get("format") != FORMAT:
            raise Invalid("The bundle is of a format that is not known")
        self.manifest = from_json(said.get("manifest"))
        self.info = info_of(said.get("package"), self.manifest.kind)
        expected = {MANIFEST, SIGNATURE, *map(part_name, range(len(self.manifest.tables)))}
        if other := (self.members.keys() ^ expected) - {SIGNATURE}:
            raise Invalid(f"The bundle lacks, or holds without need, '{min(other)[:100]}'")

    def verified(self, text: bytes, trust: Trust) -> str | None:
        """Who signed the manifest."""
        if SIGNATURE not in self.members:
            return None
        said = loaded(whole(self.archive, self.members[SIGNATURE], LARGEST_SIGNATURE))
        if said.get("algorithm") != "ed25519":
            raise Invalid("The signature of the package is of a kind that is not known")
        return trust.verified(text, str(said.get("public_key")), str(said.get("signature")))

    async def keep(self, store: BlobStore, limits: Limits, packed: int) -> None:
        """Takes the parts into a store; Invalid when one is not what the manifest says."""
        limits.check(self.manifest.bytes, packed)
        for number, table in enumerate(self.manifest.tables):
            blob = await store.put(in_thread(blocks(self.archive, self.members[part_name(number)])))
            if (blob.digest, blob.size) != (table.part.blob, table.part.stored):
                raise Invalid(f"The part of '{table.name}' is damaged: its checksum differs")
            async for lines in read_part(store, table.part):
                check_lines(self.manifest.kind, table, lines)


def check_lines(kind: DatabaseKind, table: PackedTable, lines: Lines) -> None:
    """Invalid when a line is no row of the table."""
    width = len(table.table.packed_columns)
    for line in lines:
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            raise Invalid(f"A row of '{table.name}' is not JSON") from None
        if kind is DatabaseKind.MONGODB:
            fits = isinstance(row, dict)
        else:
            fits = isinstance(row, list) and len(row) == width and all(v is None or isinstance(v, str) for v in row)
        if not fits:
            raise Invalid(f"A row of '{table.name}' does not have the values of its columns")


def loaded(text: bytes) -> dict[str, Any]:
    """The JSON object that a member holds."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Invalid("The bundle describes itself in something that is not JSON") from None
    if not isinstance(found, dict):
        raise Invalid("The bundle does not describe itself")
    return found


def info_of(said: Any, kind: DatabaseKind) -> PackageInfo:
    """What the bundle says about the package, which must be as a document says it, and about such data."""
    if (told(PackageTold, said, "The package").package_type == "document") != (kind is DatabaseKind.MONGODB):
        raise Invalid(f"The package is of another type than its data, which are of {kind}")
    try:
        return INFO.validate_python(said)
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False)[0]
        raise Invalid(f"The bundle is damaged at package.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
