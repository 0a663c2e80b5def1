"""What is broken on purpose belongs to one test alone."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import open_folder
from tests.faults.ground import Ground


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    """A Postgres and a NATS of the test's own."""
    with open_folder("ground") as folder:
        async with Ground(folder) as made:
            yield made
