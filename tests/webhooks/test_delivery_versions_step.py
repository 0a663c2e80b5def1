"""Deliveries that were there before their versions were kept: what they are is known from that step on."""

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from adapters.embedded.postgres import EmbeddedPostgres
from adapters.postgres import migrations
from tests.conftest import Database

LAST_STEP = "011_webhooks"
NAME = "before_delivery_versions"


@pytest.fixture
def database(postgres: EmbeddedPostgres, template: str) -> Iterator[Database]:
    """A database with the schema of before; its roles are those of the server, which the template brought."""
    urls = [make_conninfo(postgres.url(role), dbname=NAME) for role in ("rollbook_owner", "rollbook_app", "postgres")]
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(f"create database {NAME} owner rollbook_owner".encode())
        with pytest.MonkeyPatch.context() as patch:
            earlier = [step for step in migrations.steps() if step[0] <= LAST_STEP]
            patch.setattr(migrations, "steps", lambda: earlier)
            asyncio.run(migrations.migrate(urls[0], "rollbook_app"))
        yield Database(NAME, *urls)
        admin.execute(f"drop database {NAME} with (force)".encode())


def test_what_deliveries_are_is_known_from_the_step_on(database: Database) -> None:
    webhook, delivery = uuid4(), uuid4()
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute(
            "insert into rollbook.webhook_followers (webhook_id, organisation, filters) values (%s, 'acme', '{}')",
            [webhook],
        )
        values = [webhook, delivery, uuid4()]
        admin.execute("insert into rollbook.webhook_deliveries values (%s, 1, 'acme', %s, %s, 'x', 'dead')", values)
        ((before,),) = admin.execute("select clock_timestamp()").fetchall()
        asyncio.run(migrations.migrate(database.owner_url, "rollbook_app"))
        query = """select delivery_id, state, since = moment, since > %s, until = 'infinity'
                     from rollbook.webhook_delivery_versions cross join rollbook.webhook_horizons"""
        assert admin.execute(query, [before]).fetchall() == [(delivery, "dead", True, True, True)]
        admin.execute("delete from rollbook.webhook_followers")
        query = "select count(*), max(until) < 'infinity' from rollbook.webhook_delivery_versions"
        assert admin.execute(query).fetchall() == [(1, True)]
