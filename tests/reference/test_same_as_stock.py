"""The same commands on the stock application and on our store answer the same and end in the same states."""

import asyncio
from contextlib import closing
from typing import Any

import psycopg
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo

from adapters.postgres.event_store import PostgresEventStore
from application.execution import AggregateCache, Executor
from application.ports.event_store import EventStore
from tests.kernel.history import EXAMPLES, fresh_kernel
from tests.reference.stock import Stock, StockStore, stock_on
from tests.reference.stories import STORIES, Step, Ticking, commands, every_stream, outcome
from tests.scenario import state

NEVER = 1_000_000


async def tell(store: EventStore, steps: list[Step], remembered: int = 1000) -> tuple[list[str], AggregateCache]:
    """Lives through a story; what was answered, and what the process remembers of it."""
    executor = Executor(store, Ticking(), AggregateCache(remembered))
    answers = [await outcome(executor, handler, asked) for handler, asked in commands(steps)]
    return answers, executor.cache


async def ends(store: EventStore, steps: list[Step]) -> dict[str, Any]:
    """The states in which a story ended, read back from the store."""
    return {stream: state(a) for stream, a in (await store.load("acme", every_stream(steps))).items()}


@settings(max_examples=15, **EXAMPLES)
@given(steps=STORIES, remembered=st.sampled_from([0, 3, 1000]), snapshot_every=st.sampled_from([2, 7, NEVER]))
def test_our_store_and_the_stock_application_end_in_the_same_states(
    postgres: Any, template: str, steps: list[Step], remembered: int, snapshot_every: int
) -> None:
    async def check() -> None:
        async with fresh_kernel(postgres, template) as (kernel, _):
            ours = PostgresEventStore(kernel.pools, snapshot_every)
            reference = StockStore(Stock())
            answers, _ = await tell(reference, steps)
            assert (await tell(ours, steps, remembered))[0] == answers
            assert await ends(ours, steps) == await ends(reference, steps)

    asyncio.run(check())


@settings(max_examples=5, **EXAMPLES)
@given(steps=STORIES)
def test_its_own_postgres_recorder_ends_there_too(postgres: Any, template: str, steps: list[Step]) -> None:
    async def check() -> None:
        async with fresh_kernel(postgres, template) as (kernel, url):
            name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
            with closing(stock_on(make_conninfo(postgres.url("rollbook_owner"), dbname=str(name)))) as stock:
                reference = StockStore(stock)
                answers, _ = await tell(reference, steps)
                assert (await tell(kernel.store, steps))[0] == answers
                assert await ends(kernel.store, steps) == await ends(reference, steps)

    asyncio.run(check())


@settings(max_examples=15, **EXAMPLES)
@given(steps=STORIES)
def test_an_aggregate_from_the_log_equals_the_one_in_memory(postgres: Any, template: str, steps: list[Step]) -> None:
    async def check() -> None:
        async with fresh_kernel(postgres, template) as (kernel, _):
            _, cache = await tell(kernel.store, steps)
            held = {stream: state(a) for (_, stream), a in cache.known.items() if hasattr(a, "version")}
            from_the_log = await ends(kernel.store, steps)
            assert held.items() <= from_the_log.items()
            assert await ends(PostgresEventStore(kernel.pools, 1), steps) == from_the_log
            assert await snapshots(kernel.pools) == {s for s in from_the_log if s.startswith("lane-")}
            assert await ends(PostgresEventStore(kernel.pools, 1), steps) == from_the_log

    asyncio.run(check())


async def snapshots(pools: Any) -> set[str]:
    """Which streams have a snapshot."""
    async with pools.reading("acme") as connection:
        return {row[0] for row in await (await connection.execute("select stream_id from snapshots")).fetchall()}
