"""What a package holds, without its rows: each table or collection, where its part lies, and how it was chosen."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from domain.dataset import DatabaseKind, ForeignKey, Table
from domain.errors import Invalid

FORMAT_VERSION = 1
MOST_TABLES = 10_000
MOST_COLUMNS = 5_000
LONGEST_NAME = 255
DEFAULT_SCHEMA = "public"
STRICT = ConfigDict(extra="forbid")
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, lt=2**63)]


class IdStrategy(StrEnum):
    """Where the ids of deployed documents come from: new ones, as they were, or the documents are left out."""

    REGENERATE = "regenerate"
    PRESERVE = "preserve"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one table, as lines of JSON in a compressed blob.

    `blob` and `stored` are the digest and size of the blob; `bytes` and `sha256` those of the lines with their ends.
    """

    __pydantic_config__ = STRICT
    blob: Digest
    stored: Count
    rows: Count
    bytes: Count
    sha256: Digest


@dataclass(frozen=True, slots=True)
class PackedTable:
    """A table with its part. `name` is what the package calls it, everywhere."""

    __pydantic_config__ = STRICT
    name: Annotated[str, Field(min_length=1, max_length=2 * LONGEST_NAME + 1)]
    table: Table
    part: Part


@dataclass(frozen=True, slots=True)
class Collection:
    """What is only true of collections. `index_info` has each index as the source describes it."""

    __pydantic_config__ = STRICT
    id_field: str = "_id"
    id_type: str = "objectid"
    strategy: IdStrategy = IdStrategy.REGENERATE
    index_info: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class DocumentReference:
    """A field whose value, or each of whose values, is the id of a document. Nested fields have dots in their path.

    One that nobody declared was found: values there that are no ids of packaged documents may be something else.
    """

    __pydantic_config__ = STRICT
    source_collection: str
    source_field: str
    target_collection: str
    target_id_field: str = "_id"
    reference_type: Literal["single", "array"] = "single"
    is_declared: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """How the rows were chosen, as the user asked for it. `masks` has a method a column, never a key."""

    __pydantic_config__ = STRICT
    tables: tuple[str, ...] = ()
    where: Mapping[str, Any] = field(default_factory=dict)
    exclude: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    masks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    include_parent: bool = False
    include_related: bool = False
    max_depth: int = 1


@dataclass(frozen=True, slots=True)
class PackageInfo:
    """What is said about a package, as its document says it. `id` has its prefix."""

    id: str
    name: str
    version: str
    package_type: str
    created_at: datetime
    created_by: str
    description: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    dependencies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """A package without its rows. `tables` are ordered, parents first as far as there are no cycles.

    `schema_version` is what the source's server calls itself. `collections` has an entry for each table of documents.
    """

    __pydantic_config__ = STRICT
    kind: DatabaseKind
    tables: Annotated[tuple[PackedTable, ...], Field(max_length=MOST_TABLES)]
    schema_version: str = ""
    match_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    choice: Choice = field(default_factory=Choice)
    collections: Mapping[str, Collection] = field(default_factory=dict)
    references: tuple[DocumentReference, ...] = ()
    format_version: int = FORMAT_VERSION

    @property
    def records(self) -> dict[str, int]:
        """The rows of each table."""
        return {packed.name: packed.part.rows for packed in self.tables}

    @property
    def bytes(self) -> int:
        """The size of all lines."""
        return sum(packed.part.bytes for packed in self.tables)

    @property
    def relationships(self) -> tuple[ForeignKey, ...]:
        """The references between tables that are both in the package."""
        names = {packed.name for packed in self.tables}
        found = (key for packed in self.tables for key in packed.table.foreign_keys)
        return tuple(key for key in found if key.table in names and key.referenced_table in names)

    def packed(self, name: str) -> PackedTable:
        """One table; Invalid when it is not in the package."""
        for packed in self.tables:
            if packed.name == name:
                return packed
        raise Invalid(f"'{name[:LONGEST_NAME]}' is not in the package")

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return asdict(self)


READER = TypeAdapter(Manifest)


def from_json(data: Any) -> Manifest:
    """The manifest that somebody's JSON describes; Invalid says what it lacks or contradicts."""
    if not isinstance(data, dict):
        raise Invalid("A manifest must be a JSON object")
    if data.get("format_version") != FORMAT_VERSION:
        raise Invalid(f"The package has a format of version {data.get('format_version')!r:.40}, not {FORMAT_VERSION}")
    try:
        manifest = READER.validate_python(data)
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False)[0]
        raise Invalid(f"The manifest is damaged at {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    check(manifest)
    return manifest


def check(manifest: Manifest) -> None:
    """Invalid when the tables contradict each other or themselves."""
    names = [packed.name for packed in manifest.tables]
    if twice := repeated(names):
        raise Invalid(f"The package holds the table '{twice}' twice")
    for packed in manifest.tables:
        check_table(packed.name, packed.table)
    for mentioned in (*manifest.match_keys, *manifest.collections):
        if mentioned not in names:
            raise Invalid(f"The package describes '{mentioned[:LONGEST_NAME]}', which it does not hold")


def check_table(name: str, table: Table) -> None:
    """Invalid when a name stands there twice or cannot be one, or a key or a reference does not match."""
    columns = [column.name for column in table.columns]
    for each in (name, *columns):
        check_name(each)
    if len(columns) > MOST_COLUMNS:
        raise Invalid(f"The table '{name}' has more than {MOST_COLUMNS} columns")
    if twice := repeated(columns):
        raise Invalid(f"The table '{name}' has the column '{twice}' twice")
    keys = (table.primary_key, *table.unique, *(key.columns for key in table.foreign_keys))
    if columns and (unknown := [one for key in keys for one in key if one not in columns]):
        raise Invalid(f"'{name[:100]}' has a key of the column '{unknown[0][:100]}', which it does not have")
    if any(len(key.columns) != len(key.referenced_columns) or not key.columns for key in table.foreign_keys):
        raise Invalid(f"The table '{name}' has a reference whose columns do not match")


def check_name(name: str) -> None:
    """Invalid for what no database would call a table or a column."""
    if not name or "\0" in name or len(name) > 2 * LONGEST_NAME + 1:
        raise Invalid(f"{name[:40]!r} cannot be the name of a table or a column")


def repeated(names: list[str]) -> str | None:
    """The first name that stands there twice."""
    seen = set[str]()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def name_of(kind: DatabaseKind, table: Table) -> str:
    """What a package calls a table: its name alone, behind its schema only where a database has several."""
    if kind is DatabaseKind.POSTGRESQL and table.schema not in ("", DEFAULT_SCHEMA):
        return f"{table.schema}.{table.name}"
    return table.name
