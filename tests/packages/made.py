"""Packages made up for tests."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from adapters.packages.parts import read_part, write_part
from application.ports.blobs import BlobStore
from application.ports.databases import Lines
from domain.dataset import Column, DatabaseKind, ForeignKey, KeyStrategy, Table
from domain.manifest import Choice, Manifest, PackageInfo, PackedTable, name_of

INFO = PackageInfo(
    id="pkg-0190aa00-0000-7000-8000-000000000001",
    name="customer-data",
    version="1.0.0",
    package_type="database",
    created_at=datetime(2025, 11, 18, 10, tzinfo=UTC),
    created_by="admin",
    description="Customer data",
    metadata={"department": "sales"},
    dependencies=("pkg-0190aa00-0000-7000-8000-000000000002",),
)
CUSTOMERS = Table(
    name="customers",
    schema="public",
    columns=(
        Column("id", "integer", is_primary_key=True, is_nullable=False),
        Column("name", "character varying(100)", max_length=100),
        Column("balance", "numeric(12,2)"),
        Column("active", "boolean"),
        Column("visits", "bigint"),
        Column("shout", "text", is_generated=True),
    ),
    primary_key=("id",),
    unique=(("name",),),
    strategy=KeyStrategy.SEQUENCE,
    sequence="public.customers_id_seq",
)
ORDERS = Table(
    name="orders",
    schema="sales",
    columns=(
        Column("id", "uuid", is_primary_key=True, is_nullable=False),
        Column("customer_id", "integer", is_foreign_key=True),
    ),
    primary_key=("id",),
    foreign_keys=(ForeignKey("orders_fk", "sales.orders", ("customer_id",), "customers", ("id",), "CASCADE"),),
)
ROWS: Mapping[str, Sequence[Sequence[str | None]]] = {
    "customers": [
        ["1", "Ann", "10.10", "true", "9007199254740993"],
        ["2", 'Bert "B"\n', None, "false", "-5"],
        ["3", "Çağ 😀", "1e400", None, None],
    ],
    "sales.orders": [["5f1a6a9e-0000-4000-8000-000000000001", "1"], ["5f1a6a9e-0000-4000-8000-000000000002", None]],
}


async def in_batches(lines: Sequence[bytes], size: int = 1000) -> AsyncIterator[Lines]:
    """Lines as a source gives them."""
    for start in range(0, len(lines), size):
        yield lines[start : start + size]


async def packed(
    store: BlobStore,
    tables: Sequence[Table] = (CUSTOMERS, ORDERS),
    rows: Mapping[str, Sequence[Any]] = ROWS,
    kind: DatabaseKind = DatabaseKind.POSTGRESQL,
    **facts: Any,
) -> Manifest:
    """A package with these rows."""
    found = []
    for table in tables:
        name = name_of(kind, table)
        lines = [orjson.dumps(row) for row in rows.get(name, [])]
        found.append(PackedTable(name, table, await write_part(store, in_batches(lines))))
    return Manifest(kind, tuple(found), choice=Choice(tables=tuple(rows)), **facts)


async def lines_of(store: BlobStore, manifest: Manifest) -> dict[str, list[bytes]]:
    """All lines of all tables."""
    return {one.name: [line async for lines in read_part(store, one.part) for line in lines] for one in manifest.tables}


async def whole(chunks: AsyncIterator[bytes]) -> bytes:
    """A stream in one."""
    return b"".join([chunk async for chunk in chunks])
