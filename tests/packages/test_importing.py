"""Packages that come back from the files that they were exported as."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.blobs.store import Blobs, FolderBlobs
from adapters.packages.bundle import write_bundle
from adapters.packages.files import write_json, write_zip
from adapters.packages.importing import Imported, Importer
from adapters.packages.signing import Signer, Trust
from application.ports.blobs import BlobStore
from domain.dataset import Column, DatabaseKind, Table
from domain.errors import Invalid
from domain.manifest import Choice, Collection, DocumentReference, IdStrategy, Manifest
from tests.packages.conftest import pieces
from tests.packages.made import CUSTOMERS, INFO, ROWS, lines_of, packed, whole

SLOW = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=12)
FORMATS = ["json", "zip", "bundle"]


async def file_of(format: str, manifest: Manifest, store: BlobStore, signer: Signer) -> bytes:
    info = replace(INFO, package_type="document") if manifest.kind is DatabaseKind.MONGODB else INFO
    if format == "bundle":
        return await whole(write_bundle(manifest, info, store, signer))
    return await whole((write_zip if format == "zip" else write_json)(manifest, info, store))


@pytest.mark.parametrize("format", FORMATS)
async def test_a_package_comes_back_as_it_was(format: str, store: Blobs, importer: Importer, signer: Signer) -> None:
    manifest = await packed(store, match_keys={"customers": ("name",)}, schema_version="18.1")
    choice = Choice(tuple(ROWS), {"customers": "active"}, {"customers": ("x",)}, {"customers": {"name": "hash"}}, True)
    manifest = replace(manifest, choice=choice)
    imported = await importer.import_stream(pieces(await file_of(format, manifest, store, signer)))
    assert imported.manifest == manifest
    assert imported.info == INFO
    assert imported.signed_by == (signer.public if format == "bundle" else None)


@pytest.mark.parametrize("format", FORMATS)
async def test_documents_come_back_as_they_were(format: str, store: Blobs, importer: Importer, signer: Signer) -> None:
    manifest = await packed(
        store,
        [Table("people", "", (), ("_id",)), Table("empty", "", (), ("_id",))],
        {
            "people": [
                {"_id": {"$oid": f"5f1a6a9e000040008000000{n}"}, "z": {"$numberDouble": "NaN"}, "a": [{"b": []}]}
                for n in range(3)
            ]
        },
        DatabaseKind.MONGODB,
        collections={
            "people": Collection("_id", "objectid", IdStrategy.PRESERVE, ({"key": {"z": 1}},)),
            "empty": Collection(),
        },
        references=(DocumentReference("people", "a.b", "people", "_id", "array"),),
    )
    info = replace(INFO, package_type="document")
    imported = await importer.import_stream(pieces(await file_of(format, manifest, store, signer)))
    assert imported.manifest == manifest
    assert imported.info == info


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
TYPES = st.sampled_from(["integer", "bigint", "int(10) unsigned", "boolean", "text", "numeric", "jsonb", "integer[]"])
VALUES = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.integers().map(str),
    st.sampled_from(["true", "false", "True", "007", "-0", "1e5", "NaN", "9007199254740993", "²", "{}", "[1]"]),
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Table, list[list[str | None]]]:
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    columns = [
        Column(name, draw(TYPES), is_generated=draw(st.booleans()) and number > 0) for number, name in enumerate(names)
    ]
    schema = draw(st.sampled_from(["public", "other", 'Odd "schema".']))
    table = Table(draw(NAMES), schema, tuple(columns), (names[0],), unique=((names[-1],),))
    width = len(table.packed_columns)
    rows = st.lists(VALUES, min_size=width, max_size=width)
    return table, draw(st.lists(rows, max_size=10, unique_by=lambda row: row[0]))


@pytest.mark.parametrize("format", FORMATS)
@SLOW
@given(found=st.lists(tables(), max_size=4, unique_by=lambda one: (one[0].schema, one[0].name)))
async def test_any_tables_and_rows_come_back(
    format: str, found: list[tuple[Table, list[Any]]], store: Blobs, importer: Importer, signer: Signer
) -> None:
    kind = DatabaseKind.POSTGRESQL
    chosen = {table.name if table.schema == "public" else f"{table.schema}.{table.name}": rows for table, rows in found}
    if len(chosen) != len(found):
        return
    manifest = await packed(store, [table for table, _ in found], chosen, kind)
    imported = await importer.import_stream(pieces(await file_of(format, manifest, store, signer)))
    assert imported.manifest == manifest
    assert await lines_of(store, imported.manifest) == await lines_of(store, manifest)


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize("format", FORMATS)
@SLOW
@given(documents=st.lists(st.dictionaries(NAMES, DOCUMENTS, max_size=5), max_size=5))
async def test_any_documents_come_back(
    format: str, documents: list[Any], store: Blobs, importer: Importer, signer: Signer
) -> None:
    kind = DatabaseKind.MONGODB
    collections = {"things": Collection()}
    manifest = await packed(
        store, [Table("things", "", (), ("_id",))], {"things": documents}, kind, collections=collections
    )
    imported = await importer.import_stream(pieces(await file_of(format, manifest, store, signer)))
    assert imported.manifest == manifest


async def exported(store: Blobs) -> Any:
    return json.loads(await whole(write_json(await packed(store), INFO, store)))


async def imported_from(importer: Importer, document: Any, **how: Any) -> Imported:
    return await importer.import_stream(pieces(json.dumps(document, **how).encode()))


@pytest.mark.parametrize("how", [{"indent": 4}, {"sort_keys": True}, {"ensure_ascii": False}], ids=str)
async def test_a_document_may_be_formatted_anew(how: dict[str, Any], store: Blobs, importer: Importer) -> None:
    imported = await imported_from(importer, await exported(store), **how)
    assert imported.manifest == await packed(store)


async def test_name_version_and_description_may_be_changed_before_an_import(store: Blobs, importer: Importer) -> None:
    document = await exported(store) | {"name": "other", "version": "2", "description": None, "metadata": {"a": 1}}
    imported = await imported_from(importer, document)
    assert (imported.info.name, imported.info.version, imported.info.metadata) == ("other", "2", {"a": 1})


async def test_a_request_may_be_wrapped_around_a_document(store: Blobs, importer: Importer) -> None:
    document = await exported(store)
    imported = await imported_from(importer, {"package_data": document, "environment": "staging"})
    assert imported.around == {"environment": "staging"}
    assert imported.info == INFO
    other_way = await imported_from(importer, {"environment": "staging", "package_data": document})
    assert other_way == imported


async def test_a_document_written_by_hand_needs_little(store: Blobs, importer: Importer) -> None:
    rows = [{"id": 1, "ok": True, "price": 10.10, "big": 123456789012345678901234567890, "tags": {"a": [1.5, None]}}]
    table = {
        "table_name": "things",
        "rows": rows,
        "columns": [{"name": name} for name in ("id", "ok", "price", "big", "tags")],
        "pk_columns": ["id"],
    }
    data = {"database_type": "postgresql", "tables": [table]}
    document = {"name": "n", "version": "1", "package_type": "database", "database_data": data}
    imported = await imported_from(importer, document)
    assert await lines_of(store, imported.manifest) == {
        "things": [b'["1","true","10.1","123456789012345678901234567890","{\\"a\\":[1.5,null]}"]']
    }
    assert imported.info.id == "" and imported.signed_by is None


async def test_rows_may_stand_before_the_columns(store: Blobs, importer: Importer) -> None:
    document = await exported(store)
    for table in document["database_data"]["tables"]:
        rows = table.pop("rows")
        table |= {}
        columns = table.pop("columns")
        table["rows"], table["columns"] = rows, columns
    assert (await imported_from(importer, document)).manifest == await packed(store)


Change = Callable[[Any], Any]


def in_data(change: Change) -> Change:
    return lambda document: change(document["database_data"])


HARMS: dict[str, tuple[Change, str]] = {
    "a changed value": (in_data(lambda d: d["tables"][0]["rows"][0].update(name="Eve")), "checksum"),
    "a removed row": (
        in_data(lambda d: (d["tables"][0]["rows"].pop(), d["tables"][0].update(row_count=2))),
        "checksum",
    ),
    "a changed key": (in_data(lambda d: d["pk_mappings"]["customers"].update(strategy="preserve")), "checksum"),
    "two rows exchanged": (in_data(lambda d: d["tables"][0]["rows"].reverse()), "checksum"),
    "another count of rows": (in_data(lambda d: d["tables"][0].update(row_count=9)), "9 rows"),
    "a row without a column": (in_data(lambda d: d["tables"][0]["rows"][0].pop("name")), "lacks the column 'name'"),
    "a row with a column too many": (in_data(lambda d: d["tables"][0]["rows"][0].update(x=1)), "'x'"),
    "a row that is a list": (in_data(lambda d: d["tables"][0]["rows"].__setitem__(0, [1])), "not an object"),
    "a table that is there twice": (in_data(lambda d: d["tables"].append(d["tables"][0])), "twice"),
    "a column that is there twice": (in_data(lambda d: d["tables"][0]["columns"].append({"name": "id"})), "twice"),
    "a key of no column": (in_data(lambda d: d["tables"][0].update(pk_columns=["nope"])), "nope"),
    "a name with a NUL": (in_data(lambda d: d["tables"][0].update(table_name="a\0b")), "name"),
    "another database": (in_data(lambda d: d.update(database_type="oracle")), "database_type"),
    "a strategy nobody knows": (in_data(lambda d: d["pk_mappings"]["customers"].update(strategy="guess")), "strategy"),
    "tables that are no list": (in_data(lambda d: d.update(tables={})), "instead of"),
    "a later format": (lambda d: d.update(format_version=2), "version 2"),
    "no name": (lambda d: d.pop("name"), "name"),
    "another type": (lambda d: d.update(package_type="document"), "cannot hold"),
    "no data": (lambda d: d.pop("database_data"), "neither"),
    "both kinds of data": (lambda d: d.update(document_data={"collections": []}), "both"),
    "a package in a package": (lambda d: d.update(package_data={"database_data": {"tables": []}}), "both"),
    "a wrong checksum": (lambda d: d.update(checksum="0" * 64), "checksum"),
}


@pytest.mark.parametrize("harm", HARMS)
async def test_a_harmed_document_is_refused_and_nothing_stays(
    harm: str, store: Blobs, importer: Importer, tmp_path: Path
) -> None:
    document = await exported(store)
    change, message = HARMS[harm]
    change(document)
    before = {*(tmp_path / "blobs").rglob("*")}
    with pytest.raises(Invalid, match=message):
        await imported_from(importer, document)
    assert {*(tmp_path / "blobs").rglob("*")} == before
    assert list(importer.folder.iterdir()) == []


REPEATED: dict[str, tuple[DatabaseKind, Table, list[Any]]] = {
    "1": (DatabaseKind.POSTGRESQL, CUSTOMERS, [[key, "a", None, None, None] for key in ("1", "2", "1")]),
    r'\["1","b"\]': (
        DatabaseKind.MYSQL,
        Table("lines", "", (Column("a", "int"), Column("b", "text")), ("a", "b")),
        [["1", "a"], ["1", "b"], ["2", "b"], ["1", "b"]],
    ),
    r'\{"a":1,"b":2\}': (
        DatabaseKind.MONGODB,
        Table("things", "", (), ("_id",)),
        [{"_id": {"b": 2, "a": 1}}, {"_id": {"a": 1, "b": 2}}, {"_id": {"a": 1, "b": 2}}],
    ),
}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("key", REPEATED)
async def test_a_key_that_stands_twice_in_a_table_is_refused_and_nothing_stays(
    key: str, format: str, store: Blobs, importer: Importer, signer: Signer, tmp_path: Path
) -> None:
    kind, table, rows = REPEATED[key]
    collections = {table.name: Collection()} if kind is DatabaseKind.MONGODB else {}
    elsewhere = FolderBlobs.below(tmp_path / "elsewhere")
    manifest = await packed(elsewhere, [table], {table.name: rows}, kind, collections=collections)
    file = await file_of(format, manifest, elsewhere, signer)
    with pytest.raises(Invalid, match=f"'{table.name}' holds the key {key} twice"):
        await importer.import_stream(pieces(file))
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []
    assert list(importer.folder.iterdir()) == []


async def test_rows_that_lack_their_key_are_no_twins(store: Blobs, importer: Importer, signer: Signer) -> None:
    rows = {"customers": [[None, "a", None, None, None], [None, "b", None, None, None]]}
    manifest = await packed(store, [CUSTOMERS], rows)
    assert (await importer.import_stream(pieces(await file_of("json", manifest, store, signer)))).manifest == manifest


async def test_a_document_that_ends_anywhere_too_early_is_refused(store: Blobs, importer: Importer) -> None:
    file = (await whole(write_json(await packed(store), INFO, store))).rstrip()
    for length in {*range(0, len(file), 211), len(file) - 1}:
        with pytest.raises(Invalid):
            await importer.import_stream(pieces(file[:length]))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"name":"a","name":"b","database_data":{"tables":[]}}',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"database_data":{"tables":[{"rows":[' + b'{"a":' * 100_000,
        b'{"database_data":{"tables":[]}} {}',
        b'{"database_data":{"tables":[{"rows":[{} {}]}]}}',
        b'{"database_data":{"tables":[{"rows":[{},]}]}}',
        b'{"name":"\xff","database_data":{"tables":[]}}',
        b'{"name":"\\ud800","database_data":{"tables":[]}}',
        b'{"a":01,"database_data":{"tables":[]}}',
        b'{"a":"unfinished',
        b"{1:2}",
        b'{"a" 1}',
        b"\x1f\x8b\x08\x00",
    ],
    ids=lambda text: text[:30].decode(errors="replace"),
)
async def test_what_is_no_document_is_refused(text: bytes, importer: Importer) -> None:
    with pytest.raises(Invalid):
        await importer.import_stream(pieces(text))


async def test_a_member_that_stands_twice_is_refused(store: Blobs, importer: Importer) -> None:
    file = await whole(write_json(await packed(store), INFO, store))
    with pytest.raises(Invalid, match="'name' stands twice"):
        await importer.import_stream(pieces(b'{"name":"a",' + file[1:]))


async def test_what_is_nested_too_deeply_is_refused(store: Blobs, importer: Importer) -> None:
    document = await exported(store) | {"metadata": json.loads("[" * 190 + "]" * 190)}
    with pytest.raises(Invalid, match="metadata"):
        await imported_from(importer, document)
    document["metadata"] = json.loads("[" * 201 + "]" * 201)
    with pytest.raises(Invalid, match="deeper than 200"):
        await imported_from(importer, document)


@SLOW
@given(place=st.floats(0, 1), byte=st.integers(0, 255))
async def test_no_changed_byte_breaks_the_importer(place: float, byte: int, store: Blobs, importer: Importer) -> None:
    file = bytearray(await whole(write_json(await packed(store), INFO, store)))
    file[int(place * (len(file) - 1))] = byte
    try:
        await importer.import_stream(pieces(bytes(file)))
    except Invalid:
        assert list(importer.folder.iterdir()) == []


async def test_a_document_without_a_checksum_is_unsigned_and_let_in(store: Blobs, importer: Importer) -> None:
    document = await exported(store)
    document.pop("checksum")
    document["database_data"]["tables"][0]["rows"][0]["name"] = "Eve"
    assert (await imported_from(importer, document)).signed_by is None


async def test_unsigned_packages_are_refused_where_signatures_are_required(store: Blobs, importer: Importer) -> None:
    strict = replace(importer, trust=replace(importer.trust, required=True))
    with pytest.raises(Invalid, match="signed"):
        await imported_from(strict, await exported(store))


async def test_a_row_may_be_longer_than_what_is_read_at_once(store: Blobs, importer: Importer) -> None:
    document = await exported(store)
    document.pop("checksum")
    document["database_data"]["tables"][0]["rows"][1]["name"] = 'ü{["\\' * 700_000
    imported = await imported_from(importer, document)
    lines = (await lines_of(store, imported.manifest))["customers"]
    assert orjson.loads(lines[1])[1] == 'ü{["\\' * 700_000


def test_trust_is_in_keys_that_are_named(signer: Signer) -> None:
    signature = signer.sign(b"text")
    assert Trust(frozenset({signer.public})).verified(b"text", signer.public, signature) == signer.public
    assert Trust().verified(b"text", signer.public, signature) is None
    with pytest.raises(Invalid):
        Trust(frozenset({signer.public})).verified(b"other", signer.public, signature)
