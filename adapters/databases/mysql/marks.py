"""What Rollbook keeps in a target: which deployments were made, where each row went, what was there before.

MySQL commits whatever is open when it makes a table: these are made before a transaction begins. In a dry run they are
temporary, so that nothing is left.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256

import orjson

from adapters.databases.mysql.quoting import literal
from adapters.databases.mysql.session import Refused, Session
from adapters.databases.outcomes import read, told
from application.ports.databases import Order, Outcome, Recalled
from domain.errors import Clash, Unavailable

DEPLOYMENTS, LINEAGE, UNDO = "rollbook_deployments", "rollbook_lineage", "rollbook_undo"
FINGERPRINTS = "rollbook_fingerprints"
TEXT = "character set utf8mb4 collate utf8mb4_bin"
TABLES = {
    DEPLOYMENTS: f"""deployment_id varchar(200) {TEXT} primary key, package text {TEXT} not null,
        tables longtext {TEXT} not null, outcome longtext {TEXT} not null,
        made_at datetime(6) not null default current_timestamp(6), rolled_back_at datetime(6) null""",
    LINEAGE: f"""hash binary(16) primary key, package text {TEXT} not null, table_name varchar(200) {TEXT} not null,
        source_key longtext {TEXT} not null, target_key longtext {TEXT} not null, digest binary(16) not null,
        shape binary(16) not null, inserted_by varchar(200) {TEXT}, index (inserted_by, table_name)""",
    UNDO: f"""id bigint unsigned auto_increment primary key, deployment_id varchar(200) {TEXT} not null,
        table_name varchar(200) {TEXT} not null, hash binary(16), target_key longtext {TEXT} not null,
        before_image longtext {TEXT} not null, digest_before binary(16), shape_before binary(16),
        index (deployment_id, table_name)""",
    FINGERPRINTS: f"""package text {TEXT} not null, table_name varchar(200) {TEXT} not null,
        fingerprint binary(16) not null""",
}
WAIT_SECONDS = 60


async def prepare(session: Session, package: str, leaves_nothing: bool) -> None:
    """Makes the tables that are missing; from here on this connection alone deploys this package here."""
    there = await known(session)
    for table, members in TABLES.items():
        if table not in there:
            kind = "temporary table" if leaves_nothing else "table if not exists"
            await session.execute(f"create {kind} {table} ({members}) engine = innodb")
    await lock(session, package)


async def known(session: Session) -> set[str]:
    """Which of the tables are there."""
    listed = ", ".join(map(literal, TABLES))
    query = f"""select table_name from information_schema.tables
                 where table_schema = database() and table_name in ({listed})"""
    return {row[0] for row in await session.rows(query)}


async def take_over(session: Session, deployment_id: str) -> None:
    """Ends whoever else changes this deployment, which only one can whose job was given to us meanwhile: a worker that
    stood still, and would hold its locks."""
    database, *_ = await session.one("select database()")
    called = "rollbook-by:" + sha256(orjson.dumps([database, deployment_id])).hexdigest()[:40]
    if before := (await session.one(f"select is_used_lock('{called}')"))[0]:
        with suppress(Refused):
            await session.execute(f"kill {int(before)}")
    if (await session.one(f"select get_lock('{called}', {WAIT_SECONDS})"))[0] != 1:
        raise Unavailable("Somebody else changes this deployment in this environment")


async def lock(session: Session, package: str) -> None:
    """Clash when another deployment of this package takes longer than a minute; the lock ends with the connection."""
    database, *_ = await session.one("select database()")
    called = "rollbook:" + sha256(orjson.dumps([database, package])).hexdigest()[:40]
    if (await session.one(f"select get_lock('{called}', {WAIT_SECONDS})"))[0] != 1:
        raise Clash("Another deployment of this package is under way in this environment")


async def made_before(session: Session, deployment_id: str) -> Outcome | None:
    """What this deployment did, if its transaction was committed."""
    found = await session.one(f"select outcome from {DEPLOYMENTS} where deployment_id = {literal(deployment_id)}")
    return read(found[0]) if found else None


async def recalled(session: Session, deployment_id: str) -> Recalled | None:
    """What is noted of a deployment."""
    found = await session.one(
        f"select outcome, rolled_back_at is not null from {DEPLOYMENTS} where deployment_id = {literal(deployment_id)}"
    )
    return Recalled(read(found[0]), bool(found[1])) if found else None


async def mark(session: Session, order: Order, tables: Mapping[str, Sequence[str]], outcome: Outcome) -> None:
    """Records, with the rows themselves, that the deployment was made, and which columns of which tables it wrote."""
    texts = [order.deployment_id, order.package, orjson.dumps(tables).decode(), told(outcome)]
    await session.execute(
        f"""insert into {DEPLOYMENTS} (deployment_id, package, tables, outcome)
            values ({", ".join(map(literal, texts))})"""
    )
