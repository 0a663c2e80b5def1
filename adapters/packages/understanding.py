"""Makes a description of tables and collections out of what somebody's document says about them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from adapters.packages.describing import found
from adapters.packages.outline import Outline
from domain.dataset import KeyStrategy
from domain.errors import Invalid
from domain.manifest import (
    FORMAT_VERSION,
    Choice,
    IdStrategy,
    Manifest,
    PackageInfo,
)

Name = Annotated[str, Field(min_length=1, max_length=255)]
Names = tuple[Name, ...]
Read = TypeVar("Read", bound=BaseModel)


class Told(BaseModel):
    """Something that a document says; what it says beyond is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ColumnTold(Told):
    """A column."""

    name: Name
    data_type: Annotated[str, Field(max_length=65_535)] = "text"
    is_primary_key: bool = False
    is_foreign_key: bool = False
    is_nullable: bool = True
    max_length: int | None = None
    is_generated: bool = False


class ReferenceTold(Told):
    """One column of a foreign key."""

    column_name: Name
    referenced_table: Annotated[str, Field(min_length=1, max_length=511)]
    referenced_column: Name
    constraint_name: Annotated[str, Field(max_length=255)] = ""
    on_delete: Annotated[str, Field(max_length=30)] = "NO ACTION"
    on_update: Annotated[str, Field(max_length=30)] = "NO ACTION"
    virtual: bool = False


class TableTold(Told):
    """A table without its rows."""

    table_name: Name
    schema_name: Annotated[str, Field(alias="schema", max_length=255)] = ""
    columns: tuple[ColumnTold, ...]
    row_count: Annotated[int | None, Field(ge=0)] = None
    pk_columns: Names = ()
    fk_columns: tuple[ReferenceTold, ...] = ()
    unique_keys: tuple[Names, ...] = ()


class KeysTold(Told):
    """Where the keys of a table come from."""

    strategy: KeyStrategy = KeyStrategy.PRESERVE
    sequence_name: Annotated[str | None, Field(max_length=511)] = None


class DataTold(Told):
    """Database data without its tables."""

    database_type: Literal["mysql", "postgresql"]
    schema_version: Annotated[str | None, Field(max_length=255)] = ""
    pk_mappings: Mapping[str, KeysTold] = {}
    match_keys: Mapping[str, Names] = {}


class CollectionTold(Told):
    """A collection without its documents."""

    collection_name: Name
    document_count: Annotated[int | None, Field(ge=0)] = None
    id_field: Name = "_id"
    index_info: tuple[dict[str, Any], ...] | None = ()


class IdsTold(Told):
    """Where the ids of a collection come from."""

    id_field: Name = "_id"
    id_type: Annotated[str, Field(max_length=50)] = "objectid"
    strategy: IdStrategy = IdStrategy.REGENERATE


class DocumentReferenceTold(Told):
    """A field that holds ids."""

    source_collection: Name
    source_field: Name
    target_collection: Name
    target_id_field: Name = "_id"
    reference_type: Literal["single", "array"] = "single"
    is_declared: bool = True


class DocumentsTold(Told):
    """Document data without its collections."""

    id_mappings: Mapping[str, IdsTold] = {}
    references: tuple[DocumentReferenceTold, ...] | None = ()


class CriteriaTold(Told):
    """How the rows were chosen."""

    tables: tuple[str, ...] = ()
    where_clause: Mapping[str, Any] = {}
    exclude_columns: Mapping[str, tuple[str, ...]] = {}
    masks: Mapping[str, Mapping[str, str]] = {}
    include_parent: bool = False
    include_related: bool = False
    max_depth: int = 1


class PackageTold(Told):
    """The package itself."""

    id: Annotated[str | None, Field(max_length=255)] = None
    name: Annotated[str, Field(min_length=1, max_length=255)]
    version: Annotated[str, Field(min_length=1, max_length=255)]
    package_type: Literal["database", "document"]
    description: Annotated[str | None, Field(max_length=10_000)] = None
    format_version: int = FORMAT_VERSION
    created_at: AwareDatetime | None = None
    created_by: Annotated[str | None, Field(max_length=255)] = None
    metadata: dict[str, Any] | None = None
    dependencies: tuple[Annotated[str, Field(max_length=255)], ...] | None = None
    checksum: Annotated[str, Field(max_length=255)] | None = None


def told(model: type[Read], said: Any, what: str) -> Read:
    """What a document says, checked; Invalid names the first thing that is wrong."""
    try:
        return model.model_validate(said)
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise Invalid(f"{what} is not as it must be: {place}: {first['msg']}"[:500]) from None


def package_of(outline: Outline) -> PackageTold:
    """The package; Invalid when it is of a format, or a kind, that is none of ours."""
    package = told(PackageTold, outline.package, "The package")
    if package.format_version != FORMAT_VERSION:
        raise Invalid(f"The package has a format of version {package.format_version}, not {FORMAT_VERSION}")
    if (package.package_type == "document") != (outline.data_key == "document_data"):
        raise Invalid(f"A package of the type {package.package_type} cannot hold {outline.data_key}")
    return package


def info_of(package: PackageTold, manifest: Manifest) -> PackageInfo:
    """What is said about a package; what its metadata were enriched with is not, for it is found again."""
    enriched = found(manifest)
    metadata = {key: value for key, value in (package.metadata or {}).items() if enriched.get(key, ...) != value}
    return PackageInfo(
        id=package.id or "",
        name=package.name,
        version=package.version,
        package_type=package.package_type,
        created_at=package.created_at or datetime.fromtimestamp(0, UTC),
        created_by=package.created_by or "",
        description=package.description,
        metadata=metadata,
        dependencies=package.dependencies or (),
    )


def choice_of(package: PackageTold) -> Choice:
    """How the rows were chosen, as far as the metadata tell it."""
    said = (package.metadata or {}).get("selection_criteria")
    try:
        criteria = CriteriaTold.model_validate(said or {})
    except ValidationError:
        return Choice()
    facts = criteria.model_dump()
    return Choice(where=facts.pop("where_clause"), exclude=facts.pop("exclude_columns"), **facts)
