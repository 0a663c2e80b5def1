"""Whether references lead somewhere: before anything is written, and again where the server itself did not look."""

from collections.abc import Mapping, Sequence

from adapters.databases.mysql.quoting import hashed, key_shown, literal, name
from adapters.databases.mysql.session import Session
from adapters.databases.mysql.staging import Reference, Stage
from application.ports.databases import DeployOptions
from domain.dataset import ForeignKey, Table
from domain.errors import Clash, Invalid

WRITTEN = "s.failed is null and (not s.found or s.changed)"
NAMED = 10


async def refuse_missing(
    session: Session, stages: Sequence[Stage], catalog: Mapping[str, Table], options: DeployOptions
) -> None:
    """Invalid names the first rows that refer to what is neither in the target nor on its way there.

    Keys that the target makes anew mean nothing there, so that a reference to such a row that is not in the package is
    refused whether or not references are to be checked.
    """
    for stage in stages:
        for reference in stage.references:
            if options.validate_references or is_meaningless(reference):
                await refuse_missing_of(session, stage, reference, missing(stage, reference, catalog))


async def refuse_missing_of(session: Session, stage: Stage, reference: Reference, condition: str) -> None:
    """The same for one reference."""
    query = f"from {stage.temporary} s where {WRITTEN} and {condition}"
    if found := await session.rows(f"select s.line, {key_shown('s.source_key')} {query} order by s.line limit {NAMED}"):
        count = await session.count(f"select count(*) {query}")
        such = ", ".join(str(source or f"line {line}") for line, source in found)
        raise Invalid(f"{count} rows of {stage.name} {lacking(reference.key)}: {such}")


def is_meaningless(reference: Reference) -> bool:
    """Whether the packaged value says nothing about the target's rows."""
    parent = reference.parent
    return parent is not None and parent.generates and set(reference.key.referenced_columns) <= parent.own_key


def lacking(key: ForeignKey) -> str:
    """What is wrong with a row."""
    return (
        f"refer to rows of {key.referenced_table} that are neither in the target nor in the package "
        f"(foreign key {key.name[:200]})"
    )


async def leave_out_missing(
    session: Session, stages: Sequence[Stage], catalog: Mapping[str, Table], options: DeployOptions
) -> None:
    """Marks rows that refer to what is not there or was left out itself, and those that refer to them in turn."""
    while sum([await leave_out(session, stage, catalog, options) for stage in stages]):
        pass


async def leave_out(session: Session, stage: Stage, catalog: Mapping[str, Table], options: DeployOptions) -> int:
    """Marks rows of one table; answers how many."""
    marked = 0
    for reference in stage.references:
        if reference.parent is not None:
            marked += await leave_out_with_parents(session, stage, reference, reference.parent)
        if options.validate_references or is_meaningless(reference):
            why = literal("It is one of the rows that " + lacking(reference.key))
            marked += await session.execute(
                f"""update {stage.temporary} s set s.failed = {why}
                     where {WRITTEN} and {missing(stage, reference, catalog)}"""
            )
    return marked


async def leave_out_with_parents(session: Session, stage: Stage, reference: Reference, parent: Stage) -> int:
    """Marks rows that refer to rows of the package that were left out."""
    await session.execute(
        f"""update {reference.temporary} m join {parent.temporary} p on p.line = m.line set m.gone = 1
             where p.failed is not null"""
    )
    told = hashed([stage.packed_text(child) for child in reference.key.columns])
    return await session.execute(
        f"""update {stage.temporary} s
              straight_join {reference.temporary} m on m.h = {told}
               set s.failed = {literal(f"It refers to a row of {parent.name} that was left out")}
             where m.gone and {WRITTEN}"""
    )


def missing(stage: Stage, reference: Reference, catalog: Mapping[str, Table]) -> str:
    """A row `s` refers to what is neither in the target nor on its way there."""
    key, values = reference.key, [stage.final(column) for column in reference.key.columns]
    condition = [f"{value} is not null" for value in values]
    if is_meaningless(reference):
        told = hashed([stage.packed_text(column) for column in key.columns])
        condition.append(f"not exists (select 1 from {reference.temporary} m where m.h = {told})")
        return " and ".join(condition)
    there = [f"p.{name(c)} = {value}" for c, value in zip(key.referenced_columns, values, strict=True)]
    real = name(catalog[key.referenced_table].name)
    condition.append(f"not exists (select 1 from {real} p where {' and '.join(there)})")
    if reference.parent is not None:
        coming = " and ".join([f"m.q{number} = {value}" for number, value in enumerate(values)])
        condition.append(f"not exists (select 1 from {reference.temporary} m where not m.gone and {coming})")
    return " and ".join(condition)


def dangling(stage: Stage, key: ForeignKey) -> str:
    """The rows `s` that were written and refer to nothing, in a query that keeps others from taking anything away."""
    same = [
        f"p.{name(parent)} = t.{name(child)}" for child, parent in zip(key.columns, key.referenced_columns, strict=True)
    ]
    values = " and ".join([f"t.{name(column)} is not null" for column in key.columns])
    return f"""from {stage.temporary} s straight_join {stage.real} t on {stage.same()}
               left join {name(key.referenced_table)} p on {" and ".join(same)}
               where {WRITTEN} and {values} and p.{name(key.referenced_columns[0])} is null"""


async def refuse_dangling(session: Session, stages: Sequence[Stage]) -> None:
    """Clash when a row that was written without the server's checks refers to nothing."""
    for stage in stages:
        for key in stage.table.foreign_keys if stage.key else ():
            if await session.rows(f"select s.line {dangling(stage, key)} limit 1 lock in share mode"):
                raise Clash(f"Rows of {stage.name} {lacking(key)}")
