"""Parts run apart, each twice: when the one that leads is killed, the other goes on where it stopped."""

import asyncio
import signal

import psycopg
import pytest

from adapters.postgres.leadership import LEADERS
from tests.faults.checks import admin_url, everything_holds
from tests.faults.ground import Ground
from tests.faults.instance import Instance
from tests.faults.load import Ledger
from tests.faults.patience import Load

pytestmark = [pytest.mark.timeout(180), pytest.mark.faults]


async def leading(projectors: list[Instance]) -> Instance:
    """The process whose connection holds a leader's lock, as soon as one does."""
    query = """select a.client_port from pg_locks l join pg_stat_activity a using (pid)
                where l.locktype = 'advisory' and l.classid = %s and l.granted"""
    async with await psycopg.AsyncConnection.connect(admin_url(projectors[0].folder), autocommit=True) as admin:
        for _ in range(300):
            for (port,) in await (await admin.execute(query, [LEADERS])).fetchall():
                if found := [one for one in projectors if port in ports_of(one)]:
                    return found[0]
            await asyncio.sleep(0.1)
    raise AssertionError("nobody leads")


def ports_of(instance: Instance) -> set[int]:
    """Where its connections start."""
    return {one.laddr.port for member in instance.members() for one in member.net_connections("tcp")}


async def test_whoever_leads_is_killed_and_the_other_takes_over(ground: Ground) -> None:
    projectors = [await ground.start("project") for _ in range(2)]
    apis = [await ground.start("serve") for _ in range(2)]
    relays = [await ground.start("relay") for _ in range(2)]
    ledger = Ledger()
    async with Load(apis[0].url, ledger, clients=4) as one, Load(apis[1].url, ledger, clients=4) as two:
        for _ in range(3):
            await one.acknowledged(50)
            await (leader := await leading(projectors)).kill_all()
            await relays.pop(0).kill_all()
            projectors.remove(leader)
            await two.acknowledged(50)
            projectors.append(await ground.start("project"))
            relays.append(await ground.start("relay"))
    await everything_holds(apis[0], ledger)


async def test_whoever_leads_is_paused_and_the_other_takes_over_for_good(ground: Ground) -> None:
    projectors = [await ground.start("project") for _ in range(2)]
    api, ledger = await ground.start("serve"), Ledger()
    relays = [await ground.start("relay") for _ in range(2)]
    async with Load(api.url, ledger) as load:
        for relay in relays:
            await load.acknowledged(50)
            paused = [await leading(projectors), relay]
            for one in paused:
                one.send(signal.SIGSTOP)
            assert await another_leads(projectors, paused[0])
            await load.acknowledged(100)
            for one in paused:
                one.send(signal.SIGCONT)
            await load.acknowledged(50)
    await everything_holds(api, ledger)


async def another_leads(projectors: list[Instance], paused: Instance) -> bool:
    """As soon as Postgres has cut off the one that is not heard."""
    for _ in range(300):
        if await leading(projectors) is not paused:
            return True
        await asyncio.sleep(0.1)
    return False
