"""Drops the tables of older releases' read models, once no process has used them for long enough."""

from collections.abc import Sequence
from typing import Any

import structlog
from psycopg import AsyncConnection, sql

from adapters.postgres import tables
from adapters.postgres.leadership import LEADERS
from adapters.postgres.pools import Pools
from projections.read_model import ReadModel, table

log = structlog.get_logger()
# Older versions that nobody was seen to use, where the newer one has come at least as far.
RETIRED = """
select old.read_model
  from rollbook_views.checkpoints old
  join rollbook_views.checkpoints new on new.read_model = %(name)s and new.position >= old.position
  join uses on uses.read_model = old.read_model
 where old.read_model ~ ('^' || %(model)s || '_v[0-9]+$')
   and substring(old.read_model from '[0-9]+$')::bigint < %(version)s
   and uses.seen_at < now() - %(seconds)s * interval '1 second'
"""
# The first release did not say what it uses: what nobody is known to have used counts as used now.
FIRST_SEEN = "insert into uses select read_model, now() from rollbook_views.checkpoints on conflict do nothing"


async def note_use(pools: Pools, models: Sequence[ReadModel]) -> None:
    """Says that a process uses these tables now."""
    async with pools.projector.connection() as connection:
        await connection.execute(
            """insert into uses select name, now() from unnest(%s::text[]) name order by name
               on conflict (read_model) do update set seen_at = excluded.seen_at""",
            [[table(model) for model in models]],
        )


async def retire(pools: Pools, models: Sequence[ReadModel], seconds: float) -> list[str]:
    """Drops the older versions of these read models that were not used for so many seconds; answers their tables."""
    dropped: list[str] = []
    async with pools.projector.connection() as connection:
        await connection.execute(FIRST_SEEN)
        for model in models:
            facts = {"name": table(model), "model": model.name, "version": model.version, "seconds": seconds}
            found = await (await connection.execute(RETIRED, facts)).fetchall()
            dropped += [name for (name,) in found if await drop(connection, name)]
    return dropped


async def drop(connection: AsyncConnection[Any], name: str) -> bool:
    """Drops a table with what is noted of it, unless a projector leads it after all."""
    async with connection.transaction():
        await connection.execute("set local lock_timeout = '2s'")
        lock = await connection.execute("select pg_try_advisory_xact_lock(%s, hashtext(%s))", [LEADERS, name])
        if (await lock.fetchone()) != (True,):
            return False
        await connection.execute(sql.SQL("drop table if exists {}").format(tables.named(name)))
        for noted in ("checkpoints", "parked_streams", "uses"):
            delete = sql.SQL("delete from {} where read_model = %s").format(tables.named(noted))
            await connection.execute(delete, [name])
    log.info("read_model.retired", table=name)
    return True
