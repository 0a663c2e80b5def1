"""Rollbooks that many tests share, as each has an organisation of its own there."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from adapters.embedded.postgres import EmbeddedPostgres
from adapters.environment_file import read_environments
from adapters.nats.job_queue import JetStreamJobs
from entrypoints.composition import Rollbook
from entrypoints.workers.dispatching import Dispatcher
from entrypoints.workers.working import Worker
from tests.conftest import Background, Running, fresh_database, running_nats, running_rollbook, settings_for

numbers = count(1)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def quiet(
    postgres: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    """One Rollbook for all tests that have organisations of their own; nobody is at work there."""
    with fresh_database(postgres, template) as database:
        async with running_rollbook(settings_for(tmp_path_factory.mktemp("quiet")), database) as running:
            yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def busy(
    postgres: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory, background: Background
) -> AsyncIterator[Running]:
    """Another one, with a worker; on a NATS of its own, as workers take whatever is offered there."""
    stop = asyncio.Event()
    with fresh_database(postgres, template) as database, running_nats(background) as nats:
        async with running_rollbook(settings_for(tmp_path_factory.mktemp("busy")), database) as running:
            app = running.app
            dispatcher = Dispatcher(app, JetStreamJobs(nats.url), True)
            worker = Worker(app, JetStreamJobs(nats.url), app.handlers, 4)
            tasks = [asyncio.create_task(one.run(stop)) for one in (dispatcher, worker)]
            yield running
            stop.set()
            await asyncio.wait_for(asyncio.gather(*tasks), 20)


def own_organisation() -> str:
    """An organisation that no other test has."""
    return f"acme-{next(numbers)}"


@contextmanager
def environments_of(app: Rollbook, organisation: str, entries: list[dict[str, str]], folder: Path) -> Iterator[None]:
    """As if the operator's file gave this organisation these environments."""
    file = folder / "environments.yaml"
    file.write_text(json.dumps([{**entry, "organisation": organisation} for entry in entries]))
    found = {(one.organisation, one.name): one for one in read_environments(file)}
    app.environments.configured.update(found)
    try:
        yield
    finally:
        for key in found:
            app.environments.configured.pop(key, None)
