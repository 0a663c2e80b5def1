"""A fleet for each test: an organisation of its own in a Rollbook that many share."""

import pytest

from tests.conftest import Running
from tests.queue.conftest import Queue
from tests.sharing import own_organisation


@pytest.fixture
def queue(quiet: Running) -> Queue:
    """The queue of an organisation that no other test has."""
    return Queue(quiet.client, own_organisation())
