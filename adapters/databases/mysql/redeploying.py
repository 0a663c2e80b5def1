"""The same rows again: when each is where lineage says that it went, there is nothing to bring."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from adapters.databases.mysql.marks import FINGERPRINTS, LINEAGE
from adapters.databases.mysql.quoting import from_text, key_shown, literal, member, name
from adapters.databases.mysql.session import Session
from adapters.databases.mysql.staging import Stage
from application.ports.databases import Contents


async def is_unchanged(session: Session, stages: Sequence[Stage], contents: Contents, package: str) -> bool:
    """Whether all tables hold what was deployed last, and it is all there still."""
    for stage in stages:
        known = await session.one(
            f"""select hex(fingerprint) from {FINGERPRINTS}
                 where package = {literal(package)} and table_name = {literal(stage.name)}"""
        )
        if known is None or not (stage.key and stage.source_key):
            return False
        stage.fingerprint = begun(stage)
        async for lines in contents.rows(stage.name):
            stage.rows += len(lines)
            stage.fingerprint.update(b"\n".join(lines) + b"\n")
        if stage.fingerprint.hexdigest().upper() != known[0] or await is_missing_some(session, stage, package):
            return False
    return True


def begun(stage: Stage) -> Any:
    """What tells the rows of a table from others: their texts, what the columns are, how rows are told apart."""
    about = repr((stage.packed.packed_columns, stage.packed.primary_key, stage.match, stage.table.primary_key))
    return blake2b(about.encode() + b"\n", digest_size=16)


async def is_missing_some(session: Session, stage: Stage, package: str) -> bool:
    """Whether somebody took out rows that were brought."""
    known = f"rollbook_known_{stage.number}"
    keys = [f"k{place} {stage.types[column.name]}" for place, column in enumerate(stage.key)]
    values = [from_text(column, member("l.target_key", place)) for place, column in enumerate(stage.key)]
    same = " and ".join([f"t.{name(column.name)} = l.k{place}" for place, column in enumerate(stage.key)])
    await session.execute(f"create temporary table {known} ({', '.join(keys)}) engine = innodb")
    await session.execute(
        f"""insert into {known} select {", ".join(values)} from {LINEAGE} l
             where l.package = {literal(package)} and l.table_name = {literal(stage.name)}"""
    )
    query = f"select 1 from {known} l where not exists (select 1 from {stage.real} t where {same}) limit 1"
    return bool(await session.rows(query)) or await session.count(f"select count(*) from {known}") < stage.rows


async def known_keys(session: Session, stage: Stage, package: str, most: int) -> dict[str, str]:
    """Some of the mapping, for the answer."""
    query = f"""select {key_shown("l.source_key")}, {member("l.target_key", 0)} from {LINEAGE} l
                 where l.package = {literal(package)} and l.table_name = {literal(stage.name)}
                 order by length(l.source_key), l.source_key limit {most}"""
    return dict(await session.rows(query))


async def keep_fingerprint(session: Session, stage: Stage, package: str) -> None:
    """Keeps what was deployed, unless rows were left out."""
    values = f"{literal(package)}, {literal(stage.name)}"
    await session.execute(f"delete from {FINGERPRINTS} where (package, table_name) = ({values})")
    if stage.fingerprint and not await session.rows(
        f"select 1 from {stage.temporary} where failed is not null limit 1"
    ):
        await session.execute(f"insert into {FINGERPRINTS} values ({values}, x'{stage.fingerprint.hexdigest()}')")


async def forget(session: Session, package: str) -> None:
    """After a rollback nothing is as it was deployed last."""
    await session.execute(f"delete from {FINGERPRINTS} where package = {literal(package)}")
