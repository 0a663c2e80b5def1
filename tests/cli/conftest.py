"""What the tests of the command line share: a server that says what it is told to."""

from collections.abc import Callable, Iterator

import pytest

from tests.cli.stand_in import Ended, StandIn, rollbook, standing_in

Run = Callable[..., Ended]


@pytest.fixture
def server() -> Iterator[StandIn]:
    with standing_in() as running:
        yield running


@pytest.fixture
def run(server: StandIn) -> Run:
    """Runs the command line against the server, patient with it unless told otherwise."""
    return lambda *arguments, **more: rollbook(*arguments, **{"API_URL": server.url} | more)
