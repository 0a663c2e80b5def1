"""The tables and collections of a document that somebody sends, as packages describe them."""

from collections.abc import Mapping, Sequence

from adapters.packages.outline import Outline, TableOutline
from adapters.packages.understanding import (
    CollectionTold,
    DataTold,
    DocumentsTold,
    IdsTold,
    KeysTold,
    ReferenceTold,
    TableTold,
    told,
)
from domain.dataset import Column, DatabaseKind, ForeignKey, Table
from domain.errors import Invalid
from domain.manifest import DEFAULT_SCHEMA, Collection, DocumentReference, check_table, name_of, repeated


class Described:
    """What a document's data say: its kind, and each table with its name and its place in the file."""

    def __init__(self, outline: Outline) -> None:
        self.tables: list[tuple[str, Table, TableOutline]] = []
        self.match_keys: Mapping[str, tuple[str, ...]] = {}
        self.collections: dict[str, Collection] = {}
        self.references: tuple[DocumentReference, ...] = ()
        self.schema_version = ""
        self.kind = DatabaseKind.MONGODB
        if outline.data_key == "document_data":
            self.read_documents(outline)
        else:
            self.read_database(outline)
        if twice := repeated([name for name, *_ in self.tables]):
            raise Invalid(f"The package holds '{twice}' twice")
        for name, table, _ in self.tables:
            check_table(name, table)

    def read_database(self, outline: Outline) -> None:
        """Tables."""
        data = told(DataTold, outline.data, "database_data")
        self.kind = DatabaseKind(data.database_type)
        self.schema_version = data.schema_version or ""
        for number, one in enumerate(outline.tables, 1):
            said = told(TableTold, one.described, f"Table {number}")
            check_count(said.table_name, said.row_count, one)
            default = DEFAULT_SCHEMA if self.kind is DatabaseKind.POSTGRESQL else ""
            plain = Table(said.table_name, said.schema_name or default, ())
            name = name_of(self.kind, plain)
            keys = data.pk_mappings.get(name) or data.pk_mappings.get(said.table_name) or KeysTold()
            self.tables.append((name, described(name, plain.schema, said, keys), one))
        names = {name for name, *_ in self.tables}
        self.match_keys = {name: columns for name, columns in data.match_keys.items() if name in names}

    def read_documents(self, outline: Outline) -> None:
        """Collections."""
        data = told(DocumentsTold, outline.data, "document_data")
        for number, one in enumerate(outline.tables, 1):
            said = told(CollectionTold, one.described, f"Collection {number}")
            check_count(said.collection_name, said.document_count, one)
            ids = data.id_mappings.get(said.collection_name) or IdsTold(id_field=said.id_field)
            facts = (ids.id_field, ids.id_type, ids.strategy, said.index_info or ())
            self.collections[said.collection_name] = Collection(*facts)
            table = Table(said.collection_name, "", (), (ids.id_field,))
            self.tables.append((said.collection_name, table, one))
        self.references = tuple(DocumentReference(**one.model_dump()) for one in data.references or ())


def check_count(name: str, said: int | None, outline: TableOutline) -> None:
    """Invalid when a table has more or fewer rows than it says."""
    if said is not None and said != outline.rows:
        raise Invalid(f"'{name[:100]}' says that it has {said} rows, and has {outline.rows}")


def described(name: str, schema: str, said: TableTold, keys: KeysTold) -> Table:
    """A table."""
    columns = tuple(Column(**one.model_dump()) for one in said.columns)
    primary = said.pk_columns or tuple(column.name for column in columns if column.is_primary_key)
    return Table(
        name=said.table_name,
        schema=schema,
        columns=columns,
        primary_key=primary,
        foreign_keys=references(name, said.fk_columns),
        unique=said.unique_keys,
        strategy=keys.strategy,
        sequence=keys.sequence_name,
    )


def references(name: str, said: Sequence[ReferenceTold]) -> tuple[ForeignKey, ...]:
    """The foreign keys, each put together from its columns."""
    by_name: dict[tuple[str, str], list[ReferenceTold]] = {}
    for one in said:
        by_name.setdefault((one.constraint_name or one.column_name, one.referenced_table), []).append(one)
    return tuple(
        ForeignKey(
            name=constraint,
            table=name,
            columns=tuple(one.column_name for one in pairs),
            referenced_table=table,
            referenced_columns=tuple(one.referenced_column for one in pairs),
            on_delete=pairs[0].on_delete,
            on_update=pairs[0].on_update,
            virtual=pairs[0].virtual,
        )
        for (constraint, table), pairs in by_name.items()
    )
