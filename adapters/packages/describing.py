"""Everything that a package document says beside the rows, made from the manifest."""

from dataclasses import asdict
from typing import Any

from domain.dataset import Column, DatabaseKind, ForeignKey, KeyStrategy
from domain.manifest import Choice, Collection, Manifest, PackageInfo, PackedTable

Json = dict[str, Any]


def of_package(info: PackageInfo, manifest: Manifest) -> Json:
    """The package itself. What the user said in the metadata wins over what is found."""
    return {
        "id": info.id,
        "name": info.name,
        "version": info.version,
        "description": info.description,
        "package_type": info.package_type,
        "format_version": manifest.format_version,
        "created_at": info.created_at.isoformat().replace("+00:00", "Z"),
        "created_by": info.created_by,
        "dependencies": list(info.dependencies),
        "include_parent": manifest.choice.include_parent,
        "metadata": {**found(manifest), **info.metadata},
    }


def found(manifest: Manifest) -> Json:
    """What the metadata of a package is enriched with."""
    listed = "collections" if manifest.kind is DatabaseKind.MONGODB else "tables"
    related = len(manifest.relationships) + len(manifest.references)
    return {
        "total_records": sum(manifest.records.values()),
        "total_relationships": related,
        listed: list(manifest.records),
        "packaged_entities": [entity(manifest, packed) for packed in manifest.tables],
        "selection_criteria": criteria(manifest.choice),
    }


def entity(manifest: Manifest, packed: PackedTable) -> Json:
    """One table or collection in the metadata."""
    collection = manifest.collections.get(packed.name)
    return {
        "name": packed.name,
        "row_count": packed.part.rows,
        "column_count": len(packed.table.packed_columns),
        "primary_key": list(packed.table.primary_key),
        "strategy": str(collection.strategy if collection else packed.table.strategy),
        "where_clause": manifest.choice.where.get(packed.name),
        "excluded_columns": sorted(manifest.choice.exclude.get(packed.name, ())),
    }


def criteria(choice: Choice) -> Json:
    """How the rows were chosen."""
    return {
        "tables": list(choice.tables),
        "where_clause": dict(choice.where),
        "exclude_columns": {name: list(columns) for name, columns in choice.exclude.items()},
        "masks": {name: dict(masks) for name, masks in choice.masks.items()},
        "include_parent": choice.include_parent,
        "include_related": choice.include_related,
        "max_depth": choice.max_depth,
    }


def of_data(manifest: Manifest) -> Json:
    """The data without its tables or collections."""
    if manifest.kind is DatabaseKind.MONGODB:
        return {
            "id_mappings": {name: id_mapping(manifest, name) for name in manifest.records},
            "references": [asdict(reference) for reference in manifest.references],
        }
    return {
        "database_type": str(manifest.kind),
        "schema_version": manifest.schema_version,
        "pk_mappings": {packed.name: pk_mapping(packed) for packed in manifest.tables},
        "relationships": [one for key in manifest.relationships for one in relationship(key)],
        "sequence_info": {
            packed.table.sequence: {"table": packed.name, "column": packed.table.primary_key[0]}
            for packed in manifest.tables
            if packed.table.sequence and packed.table.primary_key
        },
        "match_keys": {name: list(columns) for name, columns in manifest.match_keys.items()},
    }


def pk_mapping(packed: PackedTable) -> Json:
    """Where the keys of a table come from."""
    table = packed.table
    return {
        "table_name": packed.name,
        "pk_columns": list(table.primary_key),
        "is_auto_increment": table.strategy is not KeyStrategy.PRESERVE,
        "sequence_name": table.sequence,
        "strategy": str(table.strategy),
    }


def relationship(key: ForeignKey) -> list[Json]:
    """A reference, once for each pair of its columns."""
    return [
        {
            "id": f"{key.table}.{key.name}.{number}",
            "source_table": key.table,
            "source_column": column,
            "target_table": key.referenced_table,
            "target_column": referenced,
            "constraint_name": key.name,
            "on_delete": key.on_delete,
            "on_update": key.on_update,
        }
        for number, (column, referenced) in enumerate(zip(key.columns, key.referenced_columns, strict=True), 1)
    ]


def id_mapping(manifest: Manifest, name: str) -> Json:
    """Where the ids of a collection come from."""
    collection = manifest.collections.get(name, Collection())
    return {"id_field": collection.id_field, "id_type": collection.id_type, "strategy": str(collection.strategy)}


def of_table(manifest: Manifest, packed: PackedTable) -> Json:
    """A table without its rows, or a collection without its documents."""
    if manifest.kind is DatabaseKind.MONGODB:
        collection = manifest.collections.get(packed.name, Collection())
        return {
            "collection_name": packed.name,
            "document_count": packed.part.rows,
            "id_field": collection.id_field,
            "index_info": [dict(one) for one in collection.index_info],
        }
    table = packed.table
    return {
        "table_name": table.name,
        "schema": table.schema,
        "columns": [of_column(column) for column in table.columns],
        "row_count": packed.part.rows,
        "pk_columns": list(table.primary_key),
        "fk_columns": [one for key in table.foreign_keys for one in of_reference(key)],
        "unique_keys": [list(columns) for columns in table.unique],
    }


def of_column(column: Column) -> Json:
    """A column; only what is generated says so."""
    found = asdict(column)
    return found if column.is_generated else {k: v for k, v in found.items() if k != "is_generated"}


def of_reference(key: ForeignKey) -> list[Json]:
    """A reference as its table tells it; those of one constraint belong together."""
    return [
        {
            "column_name": column,
            "referenced_table": key.referenced_table,
            "referenced_column": referenced,
            "constraint_name": key.name,
            "on_delete": key.on_delete,
            "on_update": key.on_update,
            "virtual": key.virtual,
        }
        for column, referenced in zip(key.columns, key.referenced_columns, strict=True)
    ]
