"""Writes staged rows into their tables: new ones, changed ones, and the notes that undo both."""

from collections.abc import Awaitable, Callable

from adapters.databases.mysql.marks import LINEAGE, UNDO
from adapters.databases.mysql.quoting import columns_of, digest, literal, name, row_text
from adapters.databases.mysql.session import Refused, Session
from adapters.databases.mysql.staging import KNOWN, Stage
from application.ports.databases import Order

NEW = "not s.found and s.failed is null"


def theirs(stage: Stage) -> str:
    """What the packaged columns of a row `t` of the target hold, in short."""
    return digest(stage.columns, columns_of("t", stage.columns))


def shape(stage: Stage) -> str:
    """Which columns such a digest is of."""
    return f"unhex(md5({literal(','.join(column.name for column in stage.columns))}))"


async def find_changed(session: Session, stage: Stage) -> None:
    """Marks the rows that are there with other values than in the package."""
    if not (stage.free and stage.key):
        return
    ours = digest(stage.free, [stage.final(column.name) for column in stage.free])
    there = digest(stage.free, columns_of("t", stage.free))
    await session.execute(
        f"""update {stage.temporary} s straight_join {stage.real} t on {stage.same()} set s.changed = 1
             where s.found and s.failed is null and {ours} <> {there}"""
    )


def drifted(stage: Stage) -> str:
    """Rows that somebody changed since this package left them."""
    return f"""{stage.temporary} s straight_join {LINEAGE} l on l.hash = s.source_hash
               join {stage.real} t on {stage.same()}
               where s.found and s.changed and s.failed is null and l.shape = {shape(stage)}
                 and l.digest <> {theirs(stage)}"""


async def insert(session: Session, stage: Stage, is_checked: bool, is_lenient: bool) -> None:
    """Adds the new rows. Without checks, for rows that refer to each other, they are looked at later."""
    if not is_checked:
        await session.execute("set session foreign_key_checks = 0")
    await by_halves(session, stage, lambda lines: session.execute(inserting(stage, stage.real, lines)), is_lenient)
    if not is_checked:
        await session.execute("set session foreign_key_checks = 1")


def inserting(stage: Stage, table: str, lines: str) -> str:
    """What adds the new rows among these to a table."""
    names = [column.name for column in stage.columns]
    names += [column.name for column in stage.key if column.name not in names]
    return f"""insert into {table} ({", ".join(map(name, names))}) select {", ".join(map(stage.final, names))}
                 from {stage.temporary} s where {NEW} and {lines} order by s.line"""


async def update(session: Session, stage: Stage, order: Order) -> None:
    """Sets the packaged columns of rows that differ in them, and keeps what they were."""
    await keep_images(session, stage, order)
    sets = ", ".join([f"t.{name(column.name)} = {stage.final(column.name)}" for column in stage.free])
    statement = f"""update {stage.temporary} s straight_join {stage.real} t on {stage.same()} set {sets}
                     where s.found and s.changed and s.failed is null"""
    is_lenient = order.options.continue_on_error
    await by_halves(session, stage, lambda lines: session.execute(f"{statement} and {lines}"), is_lenient)
    if is_lenient:
        await session.execute(
            f"""delete u from {UNDO} u join {stage.temporary} s on s.source_hash = u.hash
                 where u.deployment_id = {literal(order.deployment_id)} and u.table_name = {literal(stage.name)}
                   and s.failed is not null"""
        )


async def by_halves(
    session: Session,
    stage: Stage,
    write: Callable[[str], Awaitable[object]],
    is_lenient: bool,
    between: tuple[int, int] | None = None,
) -> None:
    """Writes rows; when some of them are refused and may be left out, they are sought by halves."""
    first, last = between or (1, stage.rows)
    try:
        await write(f"s.line between {first} and {last}")
    except Refused as problem:
        if not is_lenient:
            raise
        if first == last:
            stage.count_refused(problem.message)
            return await fail(session, stage, f"s.line = {first}", problem.message)
        middle = (first + last) // 2
        await by_halves(session, stage, write, is_lenient, (first, middle))
        await by_halves(session, stage, write, is_lenient, (middle + 1, last))


async def fail(session: Session, stage: Stage, which: str, reason: str) -> None:
    """Marks rows that are left out."""
    await session.execute(f"update {stage.temporary} s set s.failed = {literal(reason)} where {which}")


async def keep_images(session: Session, stage: Stage, order: Order) -> None:
    """Keeps what the rows that will change are now."""
    image = row_text(stage.columns, columns_of("t", stage.columns))
    await session.execute(
        f"""insert into {UNDO} (deployment_id, table_name, hash, target_key, before_image, digest_before, shape_before)
            select {literal(order.deployment_id)}, {literal(stage.name)}, s.source_hash, {key_text(stage)}, {image},
                   l.digest, l.shape
              from {stage.temporary} s straight_join {stage.real} t on {stage.same()}
              left join {LINEAGE} l on l.hash = s.source_hash where s.found and s.changed and s.failed is null"""
    )


async def keep_lineage(session: Session, stage: Stage, order: Order) -> None:
    """Notes where each row went and as what it was left there."""
    if stage.key:
        await keep_keys(session, stage, order)
    await keep_lines(session, stage, order)


async def keep_keys(session: Session, stage: Stage, order: Order) -> None:
    """Of rows with keys here and in the source; what was only met here is noted as it was left before."""
    values = [literal(order.package), literal(stage.name), "s.source_key", key_text(stage), theirs(stage), shape(stage)]
    await session.execute(
        f"""insert into {LINEAGE} (hash, package, table_name, source_key, target_key, digest, shape, inserted_by)
            select s.source_hash, {", ".join(values)}, if(s.found, null, {literal(order.deployment_id)})
              from {stage.temporary} s straight_join {stage.real} t on {stage.same()}
             where s.source_hash is not null and s.failed is null and (s.found <> {KNOWN} or s.changed)
             order by s.line
            on duplicate key update
              digest = if({LINEAGE}.target_key = values(target_key) and s.found and not s.changed,
                          {LINEAGE}.digest, values(digest)),
              shape = if({LINEAGE}.target_key = values(target_key) and s.found and not s.changed,
                         {LINEAGE}.shape, values(shape)),
              inserted_by = coalesce(values(inserted_by), {LINEAGE}.inserted_by), target_key = values(target_key)"""
    )


async def keep_lines(session: Session, stage: Stage, order: Order) -> None:
    """Of rows without a key, here or in the source, each is noted as a line of this deployment."""
    line = f"concat({literal(order.deployment_id + '#')}, s.line)"
    called = f"unhex(md5(json_array({literal(order.package)}, {literal(stage.name)}, {line})))"
    finals = [stage.final(column.name) for column in stage.columns]
    values = [literal(order.package), literal(stage.name), line, key_text(stage), digest(stage.columns, finals)]
    await session.execute(
        f"""insert into {LINEAGE} (hash, package, table_name, source_key, target_key, digest, shape, inserted_by)
            select {called}, {", ".join(values)}, {shape(stage)}, {literal(order.deployment_id)}
              from {stage.temporary} s where {NEW} and {"s.source_hash is null" if stage.key else "true"}"""
    )


def key_text(stage: Stage) -> str:
    """A row's key in the target as text."""
    return row_text(stage.key, [stage.final(column.name) for column in stage.key])
