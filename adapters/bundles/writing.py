"""Writes a bundle: a zip of lines, each part with its digest in the manifest."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import IO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import orjson

from adapters.bundles.contents import Contents, Extent, models
from adapters.bundles.manifest import MANIFEST, Manifest, Part
from adapters.postgres.migrations import steps
from adapters.postgres.people import People
from projections.read_model import table

FASTEST = 1
TOGETHER = 500
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
BEGINNING = (1980, 1, 1, 0, 0, 0)


@dataclass(slots=True)
class Writer:
    """Fills one zip, and remembers which of the people its lines name."""

    file: IO[bytes]
    people: frozenset[str] = frozenset()
    parts: list[Part] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    zip: ZipFile = field(init=False)

    def __post_init__(self) -> None:
        self.zip = ZipFile(self.file, "w", ZIP_DEFLATED, compresslevel=FASTEST)

    async def add(self, name: str, lines: AsyncIterator[str]) -> None:
        """One part; other requests go on between its pieces."""
        digest, size, count = hashlib.sha256(), 0, 0
        with self.zip.open(packed(name), "w", force_zip64=True) as part:
            async for line in lines:
                block = line.encode() + b"\n"
                self.named.update(self.people.intersection(UUID.findall(line)))
                digest.update(block)
                part.write(block)
                size, count = size + len(block), count + 1
                if count % TOGETHER == 0:
                    await asyncio.sleep(0)
        self.parts.append(Part(file=name, lines=count, bytes=size, sha256=digest.hexdigest()))


async def write(
    file: IO[bytes],
    contents: Contents,
    people: People,
    identity: tuple[str, int],
    names: Mapping[str, str] | None,
) -> Manifest:
    """Writes all of it. `names` are stand-ins by login; whoever has none is person-1 and so on; None redacts nobody."""
    extent = contents.extent
    writer = Writer(file, frozenset(await people.present(extent.organisation)))
    await writer.add("events.ndjson", contents.events())
    for model in models(extent):
        await writer.add(f"views/{table(model)}.ndjson", contents.rows(model))
    await writer.add("people.ndjson", people_of(people, extent, writer.named, names))
    await writer.add("timeline.ndjson", contents.timeline())
    await writer.add("checkpoints.ndjson", contents.checkpoints())
    await writer.add("heads.ndjson", contents.heads())
    manifest = described(extent, writer.parts, identity, names is not None)
    writer.zip.writestr(packed(MANIFEST), manifest.model_dump_json(indent=2))
    writer.zip.close()
    return manifest


def packed(name: str) -> ZipInfo:
    """A file of the zip; by itself it would be stored as it is, whatever the zip was opened with."""
    file = ZipInfo(name, BEGINNING)
    file.compress_type = ZIP_DEFLATED
    return file


def described(extent: Extent, parts: list[Part], identity: tuple[str, int], redacted: bool) -> Manifest:
    """The manifest of these parts."""
    return Manifest(
        rollbook=version("rollbook"),
        store_id=identity[0],
        epoch=identity[1],
        organisation=extent.organisation,
        from_position=extent.first,
        to_position=extent.last,
        lanes=list(extent.lanes),
        redacted=redacted,
        schema_steps={name: hashlib.sha256(script.encode()).hexdigest() for name, script in steps()},
        parts=parts,
    )


async def people_of(
    people: People, extent: Extent, named: set[str], names: Mapping[str, str] | None
) -> AsyncIterator[str]:
    """The people whom the lines name, by pseudonym; who was erased is not among them."""
    known = await people.present(extent.organisation)
    logins = await people.logins_of(extent.organisation, sorted(known & named))
    for number, (pseudonym, login) in enumerate(sorted(logins.items()), 1):
        shown = login if names is None else names.get(login, f"person-{number}")
        yield orjson.dumps({"id": pseudonym, "name": shown}).decode()
