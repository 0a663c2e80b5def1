"""Words for the tests of tenancy."""

import pytest

from tests.conftest import Running
from tests.queue.conftest import Queue


@pytest.fixture
def queue(rollbook: Running) -> Queue:
    """The queue of acme."""
    return Queue(rollbook.client)
