"""A kernel on a database of its own, for one example of a property, and a history to fill it with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any

import psycopg
from hypothesis import HealthCheck, Phase
from psycopg.conninfo import make_conninfo

from adapters.embedded.postgres import EmbeddedPostgres
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.pools import Pools
from application.caller import Role
from application.deployments import ScheduleDeployment, schedule_deployment
from application.execution import Executor
from application.tokens import IssueToken, RevokeToken, issue_token, revoke_token
from domain.release import Release
from tests.conftest import AT_ONCE
from tests.kernel.conftest import Kernel
from tests.reference.stories import AUDIT, LANES, Step, Ticking, commands, outcome

numbers = count(1)
# Each example is a database of its own: looking for a smaller one takes longer than reading a long one.
EXAMPLES: Any = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
    "phases": (Phase.explicit, Phase.reuse, Phase.generate),
}


@asynccontextmanager
async def fresh_kernel(postgres: EmbeddedPostgres, template: str) -> AsyncIterator[tuple[Kernel, str]]:
    """The kernel and the address of its database, which ends with it."""
    name = f"example_{next(numbers)}"
    url = make_conninfo(postgres.app_url, dbname=name)
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(f"create database {name} template {template} owner rollbook_owner {AT_ONCE}".encode())
        pools = Pools.of(url, 4)
        await pools.open()
        store = PostgresEventStore(pools)
        try:
            yield Kernel(pools, store, Executor(store, lambda: datetime.now(UTC))), url
        finally:
            await store.close()
            await pools.close()
            admin.execute(f"drop database {name} with (force)".encode())


async def live_through_a_story(kernel: Kernel, steps: list[Step]) -> None:
    """One organisation lives through a story, while another one uses the same lanes and both use tokens."""
    executor = Executor(kernel.store, Ticking())
    for number, (handler, asked) in enumerate(commands(steps)):
        await outcome(executor, handler, asked)
        if number % 4 == 0:
            release = Release(f"other {number}", "production", "k8s")
            await kernel.run(schedule_deployment, ScheduleDeployment(LANES[0], release, True, *AUDIT), None, "other")
        if number % 5 == 0:
            issued = await kernel.run(issue_token, IssueToken(f"token {number}", Role.VIEWER, f"{number:064x}"))
            if number % 2:
                await kernel.run(revoke_token, RevokeToken(issued.resource))
