"""What is broken on purpose belongs to one test alone."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.conftest import open_folder
from tests.faults.disk import Disk, small_disk
from tests.faults.ground import Ground
from tests.faults.instance import Instance


@pytest.fixture
async def instance() -> AsyncIterator[Instance]:
    """A Rollbook that is not running yet, and surely not afterwards."""
    with open_folder("instance") as folder:
        made = Instance(folder)
        yield made
        if made.process is not None:
            await made.kill_all()


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    """A Postgres and a NATS of the test's own."""
    with open_folder("ground") as folder:
        async with Ground(folder) as made:
            yield made


@pytest.fixture
def disk() -> Iterator[Disk]:
    """A small disk of the test's own, empty."""
    with open_folder("disk") as folder, small_disk(folder) as made:
        yield made
