"""What a line of `rollbook events tail` is about, where the event itself does not say so."""

from collections.abc import Iterator
from typing import Any

import pytest
from rollbook_subscriber.reading import Event

from entrypoints.cli.client import Api, Place
from entrypoints.cli.happenings import REMEMBERED, Happenings
from tests.cli.stand_in import StandIn

JOB = {"handler": "PACKAGE_DEPLOYMENT", "job_data": {"environment": "staging", "user": "ann"}}
DEPLOYED = {"deployment": {"packagename": "shop-data", "packageversion": "1.0.0", "environment": "staging"}}


def event(topic: str, stream: str, **payload: Any) -> Event:
    """One that says no more than this."""
    at = "2026-10-02T12:00:00Z"
    return Event(1, 1, "id", topic, stream, 1, "acme", 1, at, at, "somebody", payload, {})


@pytest.fixture
def happenings(server: StandIn) -> Iterator[Happenings]:
    with Api(Place(server.url, retries=0)) as api:
        yield Happenings(api)


def test_each_thing_is_asked_for_once(server: StandIn, happenings: Happenings) -> None:
    server.says(200, JOB)
    server.says(200, DEPLOYED)
    for _ in range(2):
        assert happenings.about(event("job.started", "job-1")) == "PACKAGE_DEPLOYMENT staging"
        assert happenings.about(event("data_deployment.deployed", "data_deployment-1")) == "shop-data/staging 1.0.0"
        assert happenings.about(event("installation.topped", "installation-9", deployment_id="1")).startswith("shop-d")
    assert [asked.path for asked in server.asked] == ["/api/jobs/job-1", "/api/deployments/deploy-1"]


def test_what_its_first_event_said_is_not_asked_for(server: StandIn, happenings: Happenings) -> None:
    asked_for = {"package": "shop-data", "version": "1.0.0", "environment": "staging"}
    first = event("data_deployment.requested", "data_deployment-1", **asked_for)
    for one in (first, event("data_deployment.started", "data_deployment-1")):
        assert happenings.about(one) == "shop-data/staging 1.0.0"
    arguments = {"package": "shop-data", "environment": "staging"}
    first = event("job.requested", "job-1", handler="PACKAGE_ROLLBACK", arguments=arguments)
    for one in (first, event("job.completed", "job-1")):
        assert happenings.about(one) == "PACKAGE_ROLLBACK shop-data/staging"
    assert server.asked == []


def test_what_is_refused_ends_nothing_and_of_what_nobody_here_may_read_no_more_is_asked(
    server: StandIn, happenings: Happenings
) -> None:
    for status, answer in ((404, {}), (200, []), (200, "no JSON"), (500, {}), (403, {})):
        server.says(status, answer)
    for number in range(10):
        assert happenings.about(event("job.started", f"job-{number}")) == ""
    assert len(server.asked) == 5
    assert happenings.about(event("freezes.lifted", "freezes-1")) == ""
    assert len(server.asked) == 5


def test_no_more_is_remembered_than_fits_in_little_memory(happenings: Happenings) -> None:
    for number in range(REMEMBERED + 1):
        happenings.about(event("job.requested", f"job-{number}", handler="ECHO", arguments={}))
    assert len(happenings.known) == 1
