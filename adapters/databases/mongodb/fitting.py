"""How a package fits a target: for each collection where its ids come from, what it refers to, what tells it apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.databases.mongodb.catalog import read_indexes, refuse_name, refuse_others
from adapters.databases.mongodb.extended import Json
from adapters.databases.mongodb.session import Session
from application.ports.databases import Contents, Documents
from domain.errors import Invalid
from domain.manifest import Collection, DocumentReference, IdStrategy

Path = tuple[str, ...]
UNMISTAKABLE = frozenset({"objectid", "uuid"})
KNOWN_TYPES = frozenset({"objectid", "uuid", "string", "number"})


@dataclass(slots=True)
class Part:
    """The documents of one collection. `references` has the collections that the ids at a path may be of; those of them
    that are `strict` must lead somewhere."""

    name: str
    facts: Collection
    match: tuple[Path, ...] = ()
    unique: list[tuple[Path, ...]] = field(default_factory=list)
    references: dict[Path, list[str]] = field(default_factory=dict)
    strict: set[tuple[Path, str]] = field(default_factory=set)
    lines: int = 0
    bytes: int = 0

    @property
    def generates(self) -> bool:
        """Whether new documents get new ids."""
        return self.facts.strategy is IdStrategy.REGENERATE

    @property
    def is_left_out(self) -> bool:
        """Whether documents are only there to be referred to."""
        return self.facts.strategy is IdStrategy.SKIP

    @property
    def id_type(self) -> str | None:
        """The type of all ids, where there is one."""
        return self.facts.id_type if self.facts.id_type in KNOWN_TYPES else None

    @property
    def telling(self) -> list[tuple[Path, ...]]:
        """The fields that tell documents apart, those that were declared first."""
        return [*([self.match] if self.match else []), *self.unique]

    @property
    def is_told_by_references(self) -> bool:
        """Whether documents are told apart by what they refer to."""
        return any(path in self.references for paths in self.telling for path in paths)


async def fitted(session: Session, contents: Contents) -> dict[str, Part]:
    """The parts by name; Invalid when a name cannot be that of a collection."""
    collections: Mapping[str, Collection] = contents.collections if isinstance(contents, Documents) else {}
    references = contents.references if isinstance(contents, Documents) else ()
    parts: dict[str, Part] = {}
    for table in contents.tables:
        refuse_name(table.name)
        facts = collections.get(table.name, Collection())
        if facts.id_field != "_id":
            raise Invalid(f"The ids of '{table.name}' must be in the field _id, not in '{facts.id_field[:100]}'")
        match = tuple(path_of(one) for one in contents.match_keys.get(table.name, ()))
        parts[table.name] = Part(table.name, facts, match)
    await refuse_others(session, parts)
    for name, part in parts.items():
        part.unique = [fields for one in await read_indexes(session, name) if (fields := unique_fields(one))]
    for reference in references:
        refer(parts, reference)
    return parts


def refer(parts: Mapping[str, Part], reference: DocumentReference) -> None:
    """Adds a reference to its part; one to another field than the id holds nothing that changes."""
    part = parts.get(reference.source_collection)
    refuse_name(reference.target_collection)
    if part and reference.target_id_field == "_id":
        path, target = path_of(reference.source_field), reference.target_collection
        part.references.setdefault(path, []).append(target)
        if reference.is_declared or (target in parts and parts[target].id_type in UNMISTAKABLE):
            part.strict.add((path, target))


def path_of(text: str) -> Path:
    """The names of a nested field."""
    path = tuple(text.split("."))
    if not all(path) or path[0] == "_id" or text.startswith("$") or "\0" in text or len(path) > 100:
        raise Invalid(f"{text[:100]!r} cannot be the name of a field")
    return path


def unique_fields(index: Json) -> tuple[Path, ...]:
    """The fields whose values are there once; none when the index does not say that of all documents."""
    if not index.get("unique") or "partialFilterExpression" in index:
        return ()
    fields = [tuple(str(name).split(".")) for name in index["key"]]
    return tuple(fields) if all(path[0] != "_id" for path in fields) else ()
