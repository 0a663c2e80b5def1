"""What the tests of the command line share: a server that says what it is told to."""

from collections.abc import Callable, Iterator

import pytest

from tests.cli.stand_in import Ended, StandIn, rollbook, standing_in

Run = Callable[..., Ended]


@pytest.fixture(scope="session")
def running() -> Iterator[StandIn]:
    with standing_in() as stand_in:
        yield stand_in


@pytest.fixture
def server(running: StandIn) -> StandIn:
    """The one server of all tests, with nothing said or asked yet."""
    running.asked.clear()
    running.answers.clear()
    return running


@pytest.fixture
def run(server: StandIn) -> Run:
    """Runs the command line against the server, patient with it unless told otherwise."""
    return lambda *arguments, **more: rollbook(*arguments, **{"API_URL": server.url} | more)
