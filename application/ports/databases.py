"""What a database must be able to do for packages, whatever its kind: describe itself, give rows, take rows.

Rows travel as lines of JSON, one row a line, without its line end: an array of the values of `Table.packed_columns`
in their order, or for documents an object in canonical Extended JSON v2. Values are type-exact: what JSON numbers,
strings, booleans and null cannot say without loss is a string in the form that the database itself reads.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from domain.dataset import DatabaseKind, ForeignKey, Table
from domain.manifest import Collection, DocumentReference, IdStrategy

Lines = Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Mask:
    """What is packed in the place of a column's values: `hash`, `fake`, `null` or `keep-format`.

    Equal values stay equal under one `key`, so that joins still hold.
    """

    method: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows to pack. `where` holds a parsed expression a table (or a filter a collection).

    `include_parent` adds the rows that the chosen ones refer to; `include_related` those that refer to them, down to
    `max_depth` steps. `references` and `id_strategies` are about documents only; without references, those that the
    documents make are found.
    """

    tables: tuple[str, ...]
    where: Mapping[str, Any] = field(default_factory=dict)
    exclude: Mapping[str, frozenset[str]] = field(default_factory=dict)
    masks: Mapping[str, Mapping[str, Mask]] = field(default_factory=dict)
    include_parent: bool = False
    include_related: bool = False
    max_depth: int = 1
    virtual_foreign_keys: tuple[ForeignKey, ...] = ()
    match_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    references: tuple[DocumentReference, ...] = ()
    id_strategies: Mapping[str, IdStrategy] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """Of one table: how many rows are in, their bytes as lines, and how many are in for which reason."""

    rows: int
    bytes: int
    reasons: Mapping[str, int]
    sample: Lines = ()


class Reading(Protocol):
    """One consistent snapshot of the source, while it is open."""

    @property
    def tables(self) -> Sequence[Table]:
        """Everything that has rows in the selection, parents first as far as there are no cycles."""
        ...

    async def count(self, table: str) -> Found:
        """What the selection holds of a table."""
        ...

    async def expected(self, table: str) -> int:
        """About how many rows the selection holds of a table, found out without reading many of them."""
        ...

    def rows(self, table: str) -> AsyncIterator[Lines]:
        """The rows of a table in batches, ordered by primary key; never all of them in memory."""
        ...


@runtime_checkable
class Documents(Protocol):
    """What a reading or contents of documents have beside rows; `references` is complete once all rows are read."""

    @property
    def collections(self) -> Mapping[str, Collection]:
        """What is only true of collections, by name."""
        ...

    @property
    def references(self) -> Sequence[DocumentReference]:
        """Which fields hold ids of which documents."""
        ...


class Source(Protocol):
    """A database that packages are made from."""

    kind: DatabaseKind

    async def catalog(self) -> Mapping[str, Table]:
        """Every table that may be packed, by name; one outside the default schema as `schema.name`."""
        ...

    def read(self, selection: Selection) -> AbstractAsyncContextManager[Reading]:
        """Opens a snapshot, read-only and with a time limit; Invalid names an unknown table or column."""
        ...


class Contents(Protocol):
    """What was packed, to be read again as often as needed, always as a stream."""

    tables: Sequence[Table]
    match_keys: Mapping[str, tuple[str, ...]]

    def rows(self, table: str) -> AsyncIterator[Lines]:
        """The rows of a table in batches."""
        ...


@runtime_checkable
class Digested(Protocol):
    """What contents have beside rows when somebody noted what they are, so that to know them they need not be read."""

    def digest(self, table: str) -> tuple[str, int]:
        """SHA-256 of the lines of a table, each with its line end, and how many there are."""
        ...


@dataclass(frozen=True, slots=True)
class DeployOptions:
    """The options of the document, with its example values as defaults.

    Rows of tables are made with all that the package holds of what they refer to; `create_missing` also makes documents
    of collections that are otherwise skipped. What the package does not hold, or holds without the column that is
    referred to, is looked for in the target and never invented.
    """

    skip_existing: bool = True
    update_existing: bool = False
    validate_references: bool = True
    create_missing: bool = False
    batch_size: int = 100
    transaction_size: int = 1000
    continue_on_error: bool = False
    dry_run: bool = False
    rebuild_indexes: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """One deployment to be made. `package` is the name that lineage is kept under, over all versions."""

    deployment_id: str
    package: str
    options: DeployOptions


@dataclass(frozen=True, slots=True)
class TableOutcome:
    """What happened to the rows of one table. `failures` are the rows that were left out, with their reasons."""

    new: int = 0
    changed: int = 0
    same: int = 0
    failed: int = 0
    failures: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a deployment or a rollback did, by table. `keys` maps a few source keys to target keys, for the answer: has
    each table with generated keys, and of a dry run only the keys of rows that are there."""

    tables: Mapping[str, TableOutcome]
    keys: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Recalled:
    """What a target remembers of a deployment: what it did, and whether that was taken back."""

    outcome: Outcome
    rolled_back: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """What a deployment would do to one table, with some rows of each kind."""

    new: int
    changed: int
    same: int
    conflict: int
    samples: Mapping[str, Sequence[Mapping[str, Any]]]


Report = Callable[[str, int], None]
"""Called with a table and the rows done since the last call."""


class Target(Protocol):
    """A database that packages are deployed to. It keeps a marker of each deployment, the lineage of keys and what is
    needed to roll back in tables of its own there, written in the transaction of the rows."""

    kind: DatabaseKind

    async def catalog(self) -> Mapping[str, Table]:
        """Every table that rows may be deployed to, by name."""
        ...

    async def deploy(self, contents: Contents, order: Order, report: Report) -> Outcome:
        """All or nothing, unless `continue_on_error`. A deployment whose marker is there already is not repeated: its
        outcome is answered. Clash when a row exists and may neither be skipped nor updated, or the target drifted;
        Invalid when the package does not fit the target."""
        ...

    async def differences(self, contents: Contents, order: Order) -> Mapping[str, Difference]:
        """What `deploy` would do; changes nothing."""
        ...

    async def roll_back(self, deployment_id: str, force: bool, report: Report) -> Outcome:
        """Restores what was before: inserted rows go, updated rows get their values back. Clash when later writes would
        be lost, unless forced."""
        ...

    async def recall(self, package: str, deployment_id: str) -> Recalled | None:
        """What became of a deployment, once whoever changes the package's rows has ended; None when it is not there."""
        ...

    def keys(self, deployment_id: str, table: str) -> AsyncGenerator[Sequence[tuple[str, str]], None]:
        """The whole mapping of source keys to target keys, in batches."""
        ...
