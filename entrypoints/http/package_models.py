"""What is sent about packages."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from adapters.packages.selecting import MOST_STEPS
from domain.manifest import IdStrategy
from entrypoints.http.fields import AsOf, Lenient, OptionalText, no_filter, number, or_empty, or_nothing

LONGEST_NAME = 255
Called = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME)]
Described = Annotated[str, StringConstraints(max_length=10_000)]
Names = Annotated[list[Called], Field(max_length=10_000)]
Condition = Annotated[str, StringConstraints(max_length=10_000)] | dict[str, Any]
Document = dict[str, Any]
CURSOR = "^[0-9a-f]{16}-[0-9]{1,19}$"
Cursor = Annotated[str, StringConstraints(pattern=CURSOR)]


class PackageType(StrEnum):
    """What a package holds: rows of tables, or documents of collections."""

    DATABASE = "database"
    DOCUMENT = "document"


class ShownStatus(StrEnum):
    """What a package can be; what was deleted is never shown."""

    PACKING = "packing"
    FAILED = "failed"
    ACTIVE = "active"
    ARCHIVED = "archived"
    DELETED = "deleted"


class MaskMethod(StrEnum):
    """What stands in the place of a column's values; equal values stay equal."""

    HASH = "hash"
    FAKE = "fake"
    NULL = "null"
    KEEP_FORMAT = "keep-format"


class FilterBody(BaseModel):
    """What to take. A member that nobody knows is refused: it was meant to leave something out."""

    model_config = ConfigDict(extra="forbid")
    tables: Names = []
    collections: Names = []
    where_clause: dict[Called, Condition | None] = {}
    exclude_columns: dict[Called, Names] = {}
    exclude_fields: dict[Called, Names] = {}


class VirtualKeyBody(Lenient):
    """References between tables that the source's catalog does not know of."""

    table: Called
    columns: Annotated[Names, Field(min_length=1)]
    referenced_table: Called
    referenced_columns: Annotated[Names, Field(min_length=1)]


class ReferenceBody(Lenient):
    """A field of documents that holds the id of another, or each of whose values does; nested fields have dots."""

    source_collection: Called
    source_field: Called
    target_collection: Called
    target_id_field: Called = "_id"
    reference_type: Literal["single", "array"] = "single"


class SelectionBody(Lenient):
    """Which rows or documents, and what comes with them: the rows that they need, and those that need them."""

    filter: FilterBody
    include_parent: bool = False
    include_related: bool = False
    max_depth: Annotated[int, Field(ge=1, le=MOST_STEPS), BeforeValidator(number)] = 1
    masks: dict[Called, dict[Called, MaskMethod]] = {}
    virtual_foreign_keys: Annotated[list[VirtualKeyBody], Field(max_length=1000)] = []
    match_keys: dict[Called, Names] = {}
    references: Annotated[list[ReferenceBody], Field(max_length=1000)] = []
    id_strategies: dict[Called, IdStrategy] = {}


class PreviewBody(SelectionBody):
    """What a package would hold, without making it."""

    package_type: PackageType = PackageType.DATABASE
    environment: Called | None = None


class CreateBody(SelectionBody):
    """A package to be packed. `run_as_background` answers at once, with the job that packs."""

    name: Called
    version: Called
    package_type: PackageType
    description: Described | None = None
    environment: Called | None = None
    metadata: Document = {}
    dependencies: Annotated[list[Called], Field(max_length=1000)] = []
    run_as_background: bool = False


class FileFormat(StrEnum):
    """What a package is exported as: the document's two files in a zip, the document alone, or a signed bundle."""

    ZIP = "zip"
    JSON = "json"
    BUNDLE = "bundle"


class ImportQuery(Lenient):
    """What a package is taken in for, where that does not stand beside it in the body."""

    environment: Annotated[
        Called | None, BeforeValidator(no_filter), or_nothing(type="string", maxLength=LONGEST_NAME)
    ] = None


class GenerateBody(Lenient):
    """Which file, and which rows of the package: without tables or collections all of them. In the `background` a job
    makes the file, to be fetched when it is there."""

    format: FileFormat = FileFormat.ZIP
    tables: Names = []
    collections: Names = []
    where_clause: dict[Called, Condition | None] = {}
    background: bool = Field(default=False, validation_alias=AliasChoices("background", "run_as_background"))


SELECTION = frozenset(SelectionBody.model_fields)


class UpdateBody(Lenient):
    """What is said about a package; only what is sent changes."""

    description: Described | None = None
    status: Literal["active", "archived"] | None = None
    tags: Annotated[list[Called], Field(max_length=1000)] | None = None
    metadata: Document | None = None


class ListPackages(AsOf):
    """Filters, all of which must agree."""

    package_type: Annotated[PackageType | None, BeforeValidator(no_filter), or_empty(PackageType)] = None
    environment: OptionalText = None
    status: Annotated[ShownStatus | None, BeforeValidator(no_filter), or_empty(ShownStatus)] = None
    limit: int = Field(default=50, ge=0, le=1000)
    offset: int = Field(default=0, ge=0, le=10_000_000)


class ListActions(AsOf):
    """How many of the newest."""

    limit: int = Field(default=50, ge=0, le=1000)
    offset: int = Field(default=0, ge=0, le=10_000_000)


class ReadData(AsOf):
    """Which rows: of one table or collection, from `offset` on or behind a `cursor` of ours."""

    table: OptionalText = None
    collection: OptionalText = None
    limit: int = Field(default=100, ge=0, le=1000)
    offset: int = Field(default=0, ge=0, le=2**62)
    cursor: Annotated[Cursor | None, BeforeValidator(no_filter), or_nothing(type="string", pattern=CURSOR)] = None
