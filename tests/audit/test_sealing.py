"""The log is sealed while it grows: after so many events, or so many seconds, whichever is first."""

import asyncio
import json

import psycopg
import pytest

from adapters.checkpoint_choosing import sealer_of
from application.deployments import schedule_deployment
from entrypoints.workers.sealing import Sealing
from tests.audit.conftest import Sealed
from tests.conftest import Database, Running
from tests.kernel.test_append import schedule
from tests.sharing import own_organisation


async def texts(sealed: Sealed) -> list[dict[str, int]]:
    """What was signed."""
    async with sealed.kernel.pools.projector.connection() as connection:
        found = await connection.execute("select text from rollbook.sealed_checkpoints order by number")
        return [json.loads(text) for (text,) in await found.fetchall()]


async def test_not_more_than_so_many_events_are_sealed_at_once_and_no_commit_is_cut(sealed: Sealed) -> None:
    for _ in range(5):
        await sealed.kernel.run(schedule_deployment, schedule())
    while await sealed.sealer.seal(3):
        pass
    async with sealed.kernel.pools.projector.connection() as connection:
        found = await connection.execute("select distinct commit_position from rollbook.events order by 1")
        ends = [end for (end,) in await found.fetchall()]
    positions = [text["position"] for text in await texts(sealed)]
    assert positions[-1] == ends[-1]
    assert set(positions) <= set(ends)
    assert all(after - before <= 3 for before, after in zip([0, *positions], positions, strict=False))


async def test_two_who_seal_at_once_seal_one_behind_the_other(sealed: Sealed) -> None:
    for _ in range(4):
        await sealed.kernel.run(schedule_deployment, schedule())
    await asyncio.gather(*(sealed.sealer.seal(2) for _ in range(4)))
    assert [text["number"] for text in await texts(sealed)] == list(range(1, len(await texts(sealed)) + 1))
    assert (await sealed.export()).verify()[0] == 0


@pytest.mark.asyncio(loop_scope="session")
async def test_what_is_due_is_sealed_and_what_is_not_waits(quiet: Running) -> None:
    sealer = sealer_of(quiet.app.settings, quiet.app.pools)
    sealing = Sealing(quiet.app, sealer)
    organisation = own_organisation()
    body = {"scope": {}, "reason": "x"}
    for _ in range(2):
        await quiet.client.post("/v1/freezes", json=body, headers={"X-Organisation": organisation})
        sealing.seconds = 0
        await sealing.round()
        assert (await sealer.unsealed()).events == 0
    sealing.seconds = 3600
    await quiet.client.post("/v1/freezes", json=body, headers={"X-Organisation": organisation})
    await sealing.round()
    assert (await sealer.unsealed()).events == 1
    sealing.events = 1
    await sealing.round()
    assert (await sealer.unsealed()).events == 0
    stop = asyncio.Event()
    stop.set()
    await sealing.run(stop)


@pytest.mark.parametrize("table", ["sealed_checkpoints", "checkpoint_heads"])
@pytest.mark.parametrize("statement", ["delete from rollbook.{}", "truncate rollbook.{} cascade"])
async def test_not_even_the_owner_changes_what_was_sealed(
    sealed: Sealed, database: Database, statement: str, table: str
) -> None:
    await sealed.grow(2)
    refused = pytest.raises(psycopg.errors.InsufficientPrivilege, match="is refused")
    with psycopg.connect(database.owner_url) as owner, refused:
        owner.execute(statement.format(table).encode())
