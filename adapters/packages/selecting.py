"""Understands which rows a package is to hold: what was asked for, compared with what the source has."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.databases.mongodb.filters import parse_filter
from adapters.databases.where import mysql, postgresql
from adapters.packages.conditions import stated
from application.ports.databases import Mask, Selection, Source
from domain.dataset import DatabaseKind, ForeignKey, KeyStrategy, Table
from domain.errors import Invalid
from domain.manifest import Choice, DocumentReference, IdStrategy

MOST_STEPS = 100
WHERE = {DatabaseKind.POSTGRESQL: postgresql.where, DatabaseKind.MYSQL: mysql.where}
Names = tuple[str, ...]


class Asked(BaseModel):
    """What was asked for, in words of the request."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Filter(Asked):
    """What to take of the source."""

    tables: Names = ()
    collections: Names = ()
    where_clause: Mapping[str, Any] = {}
    exclude_columns: Mapping[str, Names] = {}
    exclude_fields: Mapping[str, Names] = {}


class VirtualKey(Asked):
    """References that the source's catalog does not know of."""

    table: str
    columns: Names = Field(min_length=1)
    referenced_table: str
    referenced_columns: Names = Field(min_length=1)


class DeclaredReference(Asked):
    """A field of documents that holds ids of others."""

    source_collection: str
    source_field: str = Field(min_length=1)
    target_collection: str
    target_id_field: str = "_id"
    reference_type: Literal["single", "array"] = "single"


class Request(Asked):
    """A selection as it was asked for."""

    filter: Filter = Filter()
    include_parent: bool = False
    include_related: bool = False
    max_depth: int = Field(default=1, ge=1, le=MOST_STEPS)
    masks: Mapping[str, Mapping[str, Literal["hash", "fake", "null", "keep-format"]]] = {}
    virtual_foreign_keys: tuple[VirtualKey, ...] = ()
    match_keys: Mapping[str, Names] = {}
    references: tuple[DeclaredReference, ...] = ()
    id_strategies: Mapping[str, IdStrategy] = {}

    def chosen(self, kind: DatabaseKind) -> tuple[Names, Mapping[str, Names]]:
        """The tables or collections, and what is left out of each."""
        if kind is DatabaseKind.MONGODB:
            return self.filter.collections or self.filter.tables, self.filter.exclude_fields
        return self.filter.tables, self.filter.exclude_columns


@dataclass(frozen=True, slots=True)
class Selecting:
    """See application.packing: Select. `key_of` is an organisation's key for masks, which is never told or kept."""

    key_of: Callable[[str], Awaitable[str]]

    async def __call__(self, organisation: str, source: Source, asked: Mapping[str, Any]) -> tuple[Selection, Choice]:
        """What was asked for, checked against the source's catalog."""
        request = understood(asked)
        selection = selected(source.kind, request, await self.key_of(organisation))
        check(source.kind, selection, await source.catalog())
        return selection, chosen(selection, request)


def understood(asked: Mapping[str, Any]) -> Request:
    """The request in its members; Invalid names the first that is wrong."""
    try:
        return Request.model_validate(asked)
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False)[0]
        raise Invalid(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def selected(kind: DatabaseKind, request: Request, key: str) -> Selection:
    """The selection that a request means."""
    tables, excluded = request.chosen(kind)
    return Selection(
        tables=tuple(dict.fromkeys(tables)),
        where=stated(request.filter.where_clause),
        exclude={name: frozenset(columns) for name, columns in excluded.items()},
        masks={
            name: {column: Mask(method, key) for column, method in columns.items()}
            for name, columns in request.masks.items()
        },
        include_parent=request.include_parent,
        include_related=request.include_related,
        max_depth=request.max_depth,
        virtual_foreign_keys=tuple(virtual(number, one) for number, one in enumerate(request.virtual_foreign_keys, 1)),
        match_keys=dict(request.match_keys),
        references=tuple(DocumentReference(**one.model_dump()) for one in request.references),
        id_strategies=dict(request.id_strategies),
    )


def virtual(number: int, key: VirtualKey) -> ForeignKey:
    """A reference that the user declared."""
    if len(key.columns) != len(key.referenced_columns):
        raise Invalid(f"The reference from '{key.table}' to '{key.referenced_table}' has columns that do not match")
    ends = (key.table, key.columns, key.referenced_table, key.referenced_columns)
    return ForeignKey(f"virtual_{number}", *ends, virtual=True)


def chosen(selection: Selection, request: Request) -> Choice:
    """The choice as the package tells it: no key in it."""
    return Choice(
        tables=selection.tables,
        where=selection.where,
        exclude={name: tuple(sorted(columns)) for name, columns in selection.exclude.items()},
        masks=request.masks,
        include_parent=selection.include_parent,
        include_related=selection.include_related,
        max_depth=selection.max_depth,
    )


def check(kind: DatabaseKind, selection: Selection, catalog: Mapping[str, Table]) -> None:
    """Invalid names what is not there, or cannot be left out or understood."""
    thing = "collection" if kind is DatabaseKind.MONGODB else "table"
    if not selection.tables:
        raise Invalid(f"filter.{thing}s must name at least one {thing}")
    for name in mentioned(selection):
        if name not in catalog:
            raise Invalid(f"There is no {thing} '{name[:255]}'")
    for name in selection.where:
        if name not in selection.tables:
            raise Invalid(f"where_clause is about '{name}', which is not among the {thing}s to pack")
    if kind is not DatabaseKind.MONGODB:
        check_columns(selection, catalog)
        check_masks(selection, catalog)
    for name, condition in selection.where.items():
        check_where(kind, catalog[name], condition)


def mentioned(selection: Selection) -> list[str]:
    """Every table that the selection names."""
    named = (selection.tables, selection.where, selection.exclude, selection.masks, selection.match_keys)
    ends = [name for key in selection.virtual_foreign_keys for name in (key.table, key.referenced_table)]
    ends += [name for one in selection.references for name in (one.source_collection, one.target_collection)]
    return [*(name for names in named for name in names), *selection.id_strategies, *ends]


def check_columns(selection: Selection, catalog: Mapping[str, Table]) -> None:
    """Invalid names a column that is not there, or that the package cannot do without."""
    named: list[tuple[str, Sequence[str]]] = [
        *((name, sorted(columns)) for name, columns in selection.exclude.items()),
        *((name, list(columns)) for name, columns in (*selection.masks.items(), *selection.match_keys.items())),
    ]
    for key in selection.virtual_foreign_keys:
        named += [(key.table, key.columns), (key.referenced_table, key.referenced_columns)]
    for name, columns in named:
        known = {column.name for column in catalog[name].columns}
        if unknown := [column for column in columns if column not in known]:
            raise Invalid(f"There is no column '{unknown[0][:255]}' in table '{name}'")
    for name, left_out in selection.exclude.items():
        if needed := left_out.intersection((*catalog[name].primary_key, *selection.match_keys.get(name, ()))):
            raise Invalid(f"The column '{min(needed)}' of '{name}' is part of its key and cannot be left out")


def check_masks(selection: Selection, catalog: Mapping[str, Table]) -> None:
    """Invalid names a column that must have a value and would have none, or that must keep the one that it has."""
    for name, masks in selection.masks.items():
        if kept := made_anew(name, catalog).intersection(masks):
            raise Invalid(f"The column '{min(kept)}' of '{name}' holds keys that are made anew and cannot be masked")
        for column in catalog[name].columns:
            if column.name in masks and masks[column.name].method == "null" and not column.is_nullable:
                raise Invalid(f"The column '{column.name}' of '{name}' must have a value and cannot be masked by null")


def made_anew(name: str, catalog: Mapping[str, Table]) -> set[str]:
    """The columns whose values mean nothing elsewhere, but say which rows belong together."""
    keys = {name: one.primary_key for name, one in catalog.items() if one.strategy is not KeyStrategy.PRESERVE}
    references = catalog[name].foreign_keys
    referring = [key for key in references if keys.get(key.referenced_table) == key.referenced_columns]
    return {*keys.get(name, ()), *(column for key in referring for column in key.columns)}


def check_where(kind: DatabaseKind, table: Table, condition: Any) -> None:
    """Invalid says which word of a condition is not understood."""
    if kind is DatabaseKind.MONGODB:
        parse_filter(condition, table.name)
        return
    if not isinstance(condition, str):
        raise Invalid(f"where_clause of '{table.name}' must be a text")
    WHERE[kind](condition, table.name, frozenset(column.name for column in table.columns))
