"""How a package fits a target: for each table the target's own, and what its rows refer to."""

from collections.abc import Mapping

from adapters.databases.postgresql.catalog import written
from adapters.databases.postgresql.facts import Facts
from adapters.databases.postgresql.staging import Reference, Stage
from application.ports.databases import Contents
from domain.dataset import ForeignKey, Table
from domain.errors import Invalid


def fitted(contents: Contents, catalog: Mapping[str, Table], facts: Mapping[str, Facts]) -> dict[str, Stage]:
    """A stage for each table, parents first; Invalid names what the target lacks."""
    stages: dict[str, Stage] = {}
    for number, packed in enumerate(contents.tables):
        name = written(packed.schema, packed.name)
        if (table := catalog.get(name)) is None:
            raise Invalid(f"The target has no table '{name}'")
        match = tuple(contents.match_keys.get(name, ()))
        stages[name] = Stage(number, name, table, packed, facts[name], match)
        refuse_unfit(stages[name])
    for stage in stages.values():
        keys = distinct(stage, stage.packed.foreign_keys + stage.table.foreign_keys)
        stage.references = [reference(n, key, stage, stages, catalog) for n, key in enumerate(keys)]
    return in_order(stages)


def refuse_unfit(stage: Stage) -> None:
    """Invalid when the target's table cannot take the rows."""
    known = {column.name: column for column in stage.table.columns if not column.is_generated}
    for name in [*stage.names, *stage.match]:
        if name not in known:
            raise Invalid(f"The target's table '{stage.name}' has no column '{name}'")
    if not stage.packs(stage.match):
        raise Invalid(f"The match key ({', '.join(stage.match)}) of '{stage.name}' is not in the package")
    if lacking := [name for name in stage.key if name not in stage.names and not stage.generates]:
        raise Invalid(f"The package lacks '{lacking[0]}', which is in the key of the target's table '{stage.name}'")
    if not stage.names:
        raise Invalid(f"The package has no columns of '{stage.name}'")


def distinct(stage: Stage, keys: tuple[ForeignKey, ...]) -> list[ForeignKey]:
    """References of packaged columns, each once, whatever it is called."""
    found: dict[object, ForeignKey] = {}
    for key in keys:
        if stage.packs(key.columns):
            pairs = frozenset(zip(key.columns, key.referenced_columns, strict=True))
            found.setdefault((key.referenced_table, pairs), key)
    return list(found.values())


def reference(
    number: int, key: ForeignKey, stage: Stage, stages: Mapping[str, Stage], catalog: Mapping[str, Table]
) -> Reference:
    """A reference with the rows that it may lead to; those that the package does not tell apart lead nowhere."""
    parent, real = stages.get(key.referenced_table), catalog.get(key.referenced_table)
    if parent and not (parent.packs(key.referenced_columns) and parent.has_own_keys(key.referenced_columns)):
        parent = None
    if real and not set(key.referenced_columns) <= {column.name for column in real.columns}:
        real = None
    return Reference(number, key, parent, real)


def in_order(stages: Mapping[str, Stage]) -> dict[str, Stage]:
    """Parents first, as the target's own references and the package's want it, as far as there are no circles."""
    left, found = dict(stages), dict[str, Stage]()
    while left:
        free = [name for name, stage in left.items() if not waits(stage, left)]
        for name in free or list(left)[:1]:
            found[name] = left.pop(name)
    return found


def waits(stage: Stage, left: Mapping[str, Stage]) -> bool:
    """Whether a table refers to another one that is still to come."""
    return any(r.parent and r.parent is not stage and r.parent.name in left for r in stage.references)
