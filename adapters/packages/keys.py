"""Refuses packages that hold one key twice in a table: nobody could say which of the rows others refer to."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson

from adapters.packages.parts import read_part
from application.ports.blobs import BlobStore
from application.ports.databases import Lines
from domain.dataset import DatabaseKind
from domain.errors import Invalid, StorageFull
from domain.manifest import Manifest, PackedTable

LONGEST_SHOWN = 100
Keys = Callable[[Any], str | None]
TWICE = "select key from keys group by key having count(*) > 1 limit 1"


async def refuse_repeated_keys(manifest: Manifest, store: BlobStore, folder: Path) -> None:
    """Invalid names the table and the key; `folder` takes the keys while they are compared."""
    for packed in manifest.tables:
        if keys := keys_of(manifest, packed):
            twice = await repeated(keys, read_part(store, packed.part), folder / "keys")
            if twice is not None:
                raise Invalid(f"'{packed.name}' holds the key {twice[:LONGEST_SHOWN]} twice")


async def repeated(keys: Keys, batches: AsyncIterator[Lines], path: Path) -> str | None:
    """A key that several rows have."""
    with noted(path) as notes:
        async for lines in batches:
            await asyncio.to_thread(note, notes, keys, lines)
        found = await asyncio.to_thread(lambda: notes.execute(TWICE).fetchone())
    return found[0] if found else None


@contextmanager
def noted(path: Path) -> Iterator[sqlite3.Connection]:
    """A file for keys that is gone afterwards; its order is made on disk, however many there are."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as notes:
            notes.executescript("pragma journal_mode = off; pragma synchronous = off; create table keys (key text)")
            yield notes
    except sqlite3.OperationalError as problem:
        raise StorageFull(f"There is no room to compare the keys of a package ({problem.sqlite_errorname})") from None
    finally:
        path.unlink(missing_ok=True)


def note(notes: sqlite3.Connection, keys: Keys, lines: Lines) -> None:
    """Keeps the keys of rows; one that lacks a part is no key."""
    rows = orjson.loads(b"[" + b",".join(lines) + b"]")
    notes.execute("begin")
    notes.executemany("insert into keys values (?)", [(key,) for key in map(keys, rows) if key is not None])
    notes.execute("commit")


def keys_of(manifest: Manifest, packed: PackedTable) -> Keys | None:
    """What tells the key of a row as text; None where the package does not hold keys."""
    if manifest.kind is DatabaseKind.MONGODB:
        return partial(id_of, manifest.collections[packed.name].id_field)
    names = [column.name for column in packed.table.packed_columns]
    key = packed.table.primary_key
    if not key or not set(key) <= set(names):
        return None
    return itemgetter(names.index(key[0])) if len(key) == 1 else partial(key_of, [names.index(name) for name in key])


def id_of(field: str, document: dict[str, Any]) -> str | None:
    """The id of a document; one of several fields is another when their order is."""
    found = document.get(field)
    return None if found is None else orjson.dumps(found).decode()


def key_of(places: list[int], row: list[str | None]) -> str | None:
    """A key of several columns."""
    key = [row[place] for place in places]
    return None if None in key else orjson.dumps(key).decode()
