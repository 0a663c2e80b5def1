"""Opens a bundle that may come from anywhere: nothing is believed before its size, name and digest are checked."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import orjson
from pydantic import ValidationError

from adapters.bundles.manifest import LARGEST_LINE, LARGEST_MANIFEST, MANIFEST, BundleRefused, Manifest, Part
from adapters.postgres.backup_archive import DAMAGED, ENCRYPTED
from adapters.postgres.migrations import steps
from projections.read_model import ReadModel, table
from projections.registry import READ_MODELS

LARGE_PART, DENSEST = 256 * 1024 * 1024, 100
NEEDED = frozenset(f"{name}.ndjson" for name in ("events", "people", "timeline", "checkpoints", "heads"))


class Bundle:
    """An open bundle, whose parts are read line by line."""

    def __init__(self, archive: ZipFile) -> None:
        self.archive = archive
        self.manifest = manifest_of(archive)
        self.parts = {part.file: part for part in self.manifest.parts}
        check_names(archive, self.parts)
        check_release(self.manifest, self.models())

    def models(self) -> list[ReadModel]:
        """The read models of this release whose rows are in it."""
        return [model for model in READ_MODELS if part_of(model) in self.parts]

    def lines(self, file: str) -> Iterator[dict[str, Any]]:
        """The lines of a part; BundleRefused, at the latest behind the last one, when they are not what was written."""
        part, digest, size, count = self.parts[file], hashlib.sha256(), 0, 0
        with self.archive.open(file) as stream:
            while line := stream.readline(LARGEST_LINE):
                size, count = size + len(line), count + 1
                if size > part.bytes:
                    raise BundleRefused(f"{file} is longer than the manifest says")
                digest.update(line)
                yield parsed(file, line)
        if (size, count, digest.hexdigest()) != (part.bytes, part.lines, part.sha256):
            raise BundleRefused(f"{file} is not what was written: its digest differs")


@contextmanager
def opened(path: Path) -> Iterator[Bundle]:
    """The bundle in a file; BundleRefused where it is none."""
    try:
        with ZipFile(path) as archive:
            yield Bundle(archive)
    except DAMAGED as problem:
        raise BundleRefused(f"{path.name} is no bundle, or it is damaged") from problem


def manifest_of(archive: ZipFile) -> Manifest:
    """The manifest, within its limit."""
    if MANIFEST not in archive.namelist() or archive.getinfo(MANIFEST).file_size > LARGEST_MANIFEST:
        raise BundleRefused("The file has no manifest of a bundle")
    check_packing(archive.getinfo(MANIFEST))
    with archive.open(MANIFEST) as stream:
        text = stream.read(LARGEST_MANIFEST + 1)
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BundleRefused(f"The manifest of the bundle is not in order: {where}: {first['msg']}") from None


def check_names(archive: ZipFile, parts: dict[str, Part]) -> None:
    """Exactly the files of the manifest are there, each once, as long as it says, packed as we pack."""
    found = sorted(archive.namelist())
    if found != sorted([MANIFEST, *parts]) or not parts.keys() >= NEEDED:
        raise BundleRefused("The files of the bundle are not those of its manifest")
    for info in archive.infolist():
        check_packing(info)
        if info.filename in parts and info.file_size != parts[info.filename].bytes:
            raise BundleRefused(f"{info.filename} is not as long as the manifest says")


def check_packing(info: ZipInfo) -> None:
    """Packed as lines are; what would be large, and is next to nothing in the file, is there to fill a disk."""
    bomb = info.file_size > LARGE_PART and info.file_size > DENSEST * info.compress_size
    if bomb or info.compress_type not in (ZIP_DEFLATED, ZIP_STORED) or info.flag_bits & ENCRYPTED:
        raise BundleRefused(f"{info.filename} is packed in a way that no bundle is")


def check_release(manifest: Manifest, known: list[ReadModel]) -> None:
    """The same release, or one with the same tables, since rows are put in as they are."""
    views = {part.file for part in manifest.parts if part.file.startswith("views/")}
    here = {name: hashlib.sha256(script.encode()).hexdigest() for name, script in steps()}
    if views != {part_of(model) for model in known} or manifest.schema_steps != here:
        raise BundleRefused(f"The bundle is of Rollbook {manifest.rollbook}, whose tables differ: open it with that")


def part_of(model: ReadModel) -> str:
    """The file with the rows of a read model."""
    return f"views/{table(model)}.ndjson"


def parsed(file: str, line: bytes) -> dict[str, Any]:
    """A line as an object."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        value = None
    if not line.endswith(b"\n") or not isinstance(value, dict):
        raise BundleRefused(f"{file} has a line that is no object")
    return value
