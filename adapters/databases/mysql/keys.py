"""Which rows of a package are in the target already, and under which key each row is or will be there.

Never by equality of a generated key: by lineage, by a match key or a UNIQUE constraint, by equality of preserved keys.
"""

from adapters.databases.mysql.allocating import give_new_keys
from adapters.databases.mysql.marks import LINEAGE
from adapters.databases.mysql.quoting import digest, from_text, hashed, literal, member, name
from adapters.databases.mysql.session import Session
from adapters.databases.mysql.staging import KNOWN, MET, Reference, Stage


async def resolve(session: Session, stage: Stage, package: str, is_dry: bool) -> None:
    """Finds the rows that are there, and gives keys to all; those of the parents are known by now."""
    for reference in stage.references:
        if not reference.is_late:
            await refer(session, stage, reference, package)
    await settle(session, stage, [c for r in stage.references if not r.is_late for c in r.moved])
    if stage.key:
        await by_lineage(session, stage)
    for columns in stage.unique:
        await by_match(session, stage, columns)
    if stage.key and not stage.generates:
        await by_preserved_key(session, stage)
    if not stage.key:
        await by_looks(session, stage, package)
    if stage.generates:
        await give_new_keys(session, stage, is_dry)


async def resolve_late(session: Session, stage: Stage, package: str) -> None:
    """Fills in references of a table to itself, and those that close a cycle of tables."""
    late = [reference for reference in stage.references if reference.is_late]
    for reference in late:
        await refer(session, stage, reference, package)
    await settle(session, stage, [column for reference in late for column in reference.moved])


async def refer(session: Session, stage: Stage, reference: Reference, package: str) -> None:
    """Fills in what a reference is in the target: of rows in the package, then of rows that it brought earlier."""
    if reference.parent is not None:
        await map_packed(session, reference, reference.parent)
    if reference.moved:
        await map_brought(session, stage, reference, package)
        places = [(stage.place(c), reference.key.columns.index(c)) for c in reference.moved]
        await session.execute(
            f"""update {stage.temporary} s straight_join {reference.temporary} m on m.h = {told(stage, reference)}
                   set {", ".join(f"s.w{place} = m.q{number}" for place, number in places)}"""
        )


def told(stage: Stage, reference: Reference) -> str:
    """What a reference says in the package, in short."""
    return hashed([stage.packed_text(column) for column in reference.key.columns])


async def map_packed(session: Session, reference: Reference, parent: Stage) -> None:
    """Where references to rows in the package lead."""
    columns = reference.key.referenced_columns
    texts = hashed([parent.packed_text(column) for column in columns])
    values = ", ".join(parent.final(column) for column in columns)
    called = ", ".join(f"q{place}" for place in range(len(columns)))
    await session.execute(
        f"""insert ignore into {reference.temporary} (h, line, gone, {called})
              select {texts}, s.line, s.failed is not null, {values} from {parent.temporary} s order by s.line"""
    )


async def map_brought(session: Session, stage: Stage, reference: Reference, package: str) -> None:
    """Where references to rows lead that were brought here before: by this package, else by others that agree."""
    if len(reference.key.columns) != 1:
        return
    column, parent = stage.column(reference.key.columns[0]), reference.key.referenced_table
    source, target = hashed([member("l.source_key", 0)]), from_text(column, member("max(l.target_key)", 0))
    for whose, agree in (
        (f"= {literal(package)}", "true"),
        (f"<> {literal(package)}", "min(l.target_key) = max(l.target_key)"),
    ):
        await session.execute(
            f"""insert ignore into {reference.temporary} (h, q0)
                  select {source}, {target} from {LINEAGE} l
                   where l.package {whose} and l.table_name = {literal(parent)} and json_length(l.source_key) = 1
                   group by l.source_key having {agree}"""
        )
    await session.execute(
        f"""delete m from {reference.temporary} m left join {name(parent)} t
              on t.{name(reference.key.referenced_columns[0])} = m.q0
             where m.line is null and t.{name(reference.key.referenced_columns[0])} is null"""
    )


async def settle(session: Session, stage: Stage, columns: list[str]) -> None:
    """References that lead nowhere in the package stay as they are."""
    for column in columns:
        place, text = stage.place(column), from_text(stage.column(column), f"v{stage.place(column)}")
        await session.execute(
            f"""update {stage.temporary} set w{place} = {text}
                 where w{place} is null and v{place} is not null and failed is null"""
        )


async def by_lineage(session: Session, stage: Stage) -> None:
    """Rows that this package, in whatever version, deployed here before, and that are still there."""
    keys = [f"s.k{n} = {from_text(c, member('l.target_key', n))}" for n, c in enumerate(stage.key)]
    await session.execute(
        f"""update {stage.temporary} s straight_join {LINEAGE} l on l.hash = s.source_hash
               set {", ".join(keys)} where s.failed is null"""
    )
    await look(session, stage, KNOWN)


async def look(session: Session, stage: Stage, how: int) -> None:
    """Rows whose key is in the target are found."""
    await session.execute(
        f"""update {stage.temporary} s straight_join {stage.real} t on {stage.same()} set s.found = {how}
             where not s.found and s.failed is null"""
    )


async def by_match(session: Session, stage: Stage, columns: tuple[str, ...]) -> None:
    """Rows with the same values in columns that tell rows apart."""
    same = " and ".join([f"t.{name(column)} = {stage.given(column)}" for column in columns])
    keys = [f"s.k{number} = t.{name(column.name)}" for number, column in enumerate(stage.key)]
    await session.execute(
        f"""update {stage.temporary} s straight_join {stage.real} t on {same}
               set {", ".join([f"s.found = {MET}", *keys])} where not s.found and s.failed is null"""
    )


async def by_preserved_key(session: Session, stage: Stage) -> None:
    """Rows keep their key: it says whether they are there. What is in a key and moves for no reference is as packed."""
    own = [c.name for c in stage.key if c.name in stage.moving]
    await settle(session, stage, own)
    keys = [f"k{number} = {stage.given(column.name, 's')}" for number, column in enumerate(stage.key)]
    await session.execute(f"update {stage.temporary} s set {', '.join(keys)} where not s.found and s.failed is null")
    await look(session, stage, MET)


async def by_looks(session: Session, stage: Stage, package: str) -> None:
    """Of rows without a key, as many are found as this package left there that look the same, and are there."""
    ours = digest(stage.columns, [stage.given(column.name) for column in stage.columns])
    theirs = digest(stage.columns, [f"t.{name(column.name)}" for column in stage.columns])
    await session.execute(
        f"""create temporary table rollbook_looks_{stage.number} (digest binary(16), number bigint,
              primary key (digest, number)) engine = innodb
            select l.digest, row_number() over (partition by l.digest) as number from {LINEAGE} l
             where l.package = {literal(package)} and l.table_name = {literal(stage.name)}"""
    )
    await session.execute(
        f"""create temporary table rollbook_there_{stage.number} (digest binary(16) primary key, number bigint)
              engine = innodb select {theirs} as digest, count(*) as number from {stage.real} t group by 1"""
    )
    await session.execute(
        f"""create temporary table rollbook_met_{stage.number} (line bigint primary key) engine = innodb
            select x.line from (
                select s.line, {ours} as digest, row_number() over (partition by {ours} order by s.line) as number
                  from {stage.temporary} s where not s.found and s.failed is null) x
              join rollbook_looks_{stage.number} l on l.digest = x.digest and l.number = x.number
              join rollbook_there_{stage.number} t on t.digest = x.digest and t.number >= x.number"""
    )
    await session.execute(
        f"update {stage.temporary} s join rollbook_met_{stage.number} m on m.line = s.line set s.found = {MET}"
    )
