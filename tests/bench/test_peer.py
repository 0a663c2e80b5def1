"""The CRUD service that speed is compared with does what ours does: it passes the same tests."""

from collections.abc import AsyncIterator, Iterator

import httpx2
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from adapters.embedded.postgres import EmbeddedPostgres
from tests.bench.crud import service
from tests.bench.http import sqlalchemy_url
from tests.queue.conftest import Queue
from tests.queue.test_contract import (
    test_a_created_deployment_is_scheduled_and_has_all_its_keys,
    test_a_missing_member_is_named,
    test_a_text_of_a_hundred_thousand_characters_is_fine,
    test_a_wrong_filter_is_a_422,
    test_a_wrong_value_is_a_422_that_names_it,
    test_account_and_region_may_be_left_out,
    test_an_unknown_deployment_is_a_404_before_an_empty_update_is_a_400,
    test_any_status_may_follow_any_other,
    test_going_live_skips_what_was_scheduled_before_in_the_same_lane_only,
    test_notes_and_uri_change_and_are_cleared_by_null,
    test_server_owned_and_unknown_members_are_ignored,
    test_the_list_is_newest_first_and_filters_exactly,
    test_unknown_paths_and_methods_answer_in_the_same_shape,
)

__all__ = [
    "test_a_created_deployment_is_scheduled_and_has_all_its_keys",
    "test_a_missing_member_is_named",
    "test_a_text_of_a_hundred_thousand_characters_is_fine",
    "test_a_wrong_filter_is_a_422",
    "test_a_wrong_value_is_a_422_that_names_it",
    "test_account_and_region_may_be_left_out",
    "test_an_unknown_deployment_is_a_404_before_an_empty_update_is_a_400",
    "test_any_status_may_follow_any_other",
    "test_going_live_skips_what_was_scheduled_before_in_the_same_lane_only",
    "test_notes_and_uri_change_and_are_cleared_by_null",
    "test_server_owned_and_unknown_members_are_ignored",
    "test_the_list_is_newest_first_and_filters_exactly",
    "test_unknown_paths_and_methods_answer_in_the_same_shape",
]


@pytest.fixture(scope="module")
def peer_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database of the peer's own."""
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute("create database peer owner rollbook_owner")
        yield make_conninfo(postgres.url("rollbook_owner"), dbname="peer")
        admin.execute("drop database peer with (force)")


@pytest.fixture
async def queue(peer_url: str) -> AsyncIterator[Queue]:
    """The peer, without any deployments."""
    app = service(sqlalchemy_url(peer_url))
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://peer") as client:
            yield Queue(client)
    with psycopg.connect(peer_url, autocommit=True) as owner:
        owner.execute("truncate deployments")
