"""A package narrowed to some of its tables and some of their rows, for an export."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.packages.conditions import stated
from adapters.packages.evaluating import clause_of
from adapters.packages.matching import matcher
from adapters.packages.parts import read_part, write_part
from adapters.postgres.pools import Pools
from application.ports.blobs import BlobStore
from application.ports.databases import Lines
from domain.dataset import DatabaseKind
from domain.errors import Invalid
from domain.manifest import Manifest, PackedTable

ROWS_AT_ONCE = 2000
Sieve = Callable[[Lines], Awaitable[Lines]]


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What of a package is wanted: without tables all of them, of a table without a condition all rows."""

    tables: Sequence[str] = ()
    where: Mapping[str, Any] = field(default_factory=dict)


async def narrowed(
    manifest: Manifest, narrowing: Narrowing, store: BlobStore, pools: Pools, organisation: str
) -> Manifest:
    """The manifest of what is wanted, its parts in the store; Invalid names what is not there or not understood.

    Nothing refers to the new parts: they are swept with other blobs of that kind, when they are old.
    """
    tables, sieves = understood(manifest, narrowing, pools, organisation)
    found = [await sieved(one, sieves.get(one.name), store) for one in tables]
    return without_others(replace(manifest, tables=tuple(found)), narrowing)


def understood(
    manifest: Manifest, narrowing: Narrowing, pools: Pools, organisation: str
) -> tuple[list[PackedTable], dict[str, Sieve]]:
    """The tables that are wanted, and what lets rows of some of them through; Invalid where that makes no sense."""
    tables, conditions = wanted(manifest, narrowing), stated(narrowing.where)
    return tables, {name: sieve(manifest, name, said, pools, organisation) for name, said in conditions.items()}


def wanted(manifest: Manifest, narrowing: Narrowing) -> list[PackedTable]:
    """The tables that are wanted, in the order of the package."""
    for name in (*narrowing.tables, *narrowing.where):
        manifest.packed(name)
    names = {*narrowing.tables} or {*manifest.records}
    if other := [name for name in narrowing.where if name not in names]:
        raise Invalid(f"where_clause is about '{other[0]}', which is not among the tables")
    return [one for one in manifest.tables if one.name in names]


def sieve(manifest: Manifest, name: str, said: Any, pools: Pools, organisation: str) -> Sieve:
    """What lets the rows through that a condition means."""
    if manifest.kind is not DatabaseKind.MONGODB:
        if not isinstance(said, str):
            raise Invalid(f"where_clause of '{name}' must be a text")
        return clause_of(pools, organisation, manifest.kind, manifest.packed(name).table, said).meant
    decide = matcher(said, name)

    async def meant(lines: Lines) -> Lines:
        return await asyncio.to_thread(lambda: [line for line in lines if decide(line)])

    return meant


async def sieved(one: PackedTable, through: Sieve | None, store: BlobStore) -> PackedTable:
    """The table with the rows that are let through."""
    return replace(one, part=await write_part(store, let_through(one, through, store))) if through else one


async def let_through(one: PackedTable, through: Sieve, store: BlobStore) -> AsyncIterator[Lines]:
    """Rows in the order of the package."""
    async for lines in read_part(store, one.part):
        for start in range(0, len(lines), ROWS_AT_ONCE):
            if meant := await through(lines[start : start + ROWS_AT_ONCE]):
                yield meant


def without_others(manifest: Manifest, narrowing: Narrowing) -> Manifest:
    """The manifest without what it says about tables that it does not hold any more."""
    names = {*manifest.records}
    choice = manifest.choice
    said = {name: condition for name, condition in choice.where.items() if name in names}
    return replace(
        manifest,
        match_keys={name: columns for name, columns in manifest.match_keys.items() if name in names},
        collections={name: one for name, one in manifest.collections.items() if name in names},
        references=tuple(one for one in manifest.references if one.source_collection in names),
        choice=replace(choice, tables=tuple(n for n in choice.tables if n in names), where=both(said, narrowing)),
    )


def both(said: Mapping[str, Any], narrowing: Narrowing) -> Mapping[str, Any]:
    """The conditions of the package and those of the export, which both hold."""
    found = dict(said)
    for name, condition in stated(narrowing.where).items():
        first = found.get(name)
        if first in (None, "", {}):
            found[name] = condition
        else:
            found[name] = {"$and": [first, condition]} if isinstance(first, Mapping) else f"({first}) AND ({condition})"
    return found
