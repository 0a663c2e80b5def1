"""Row-level security alone keeps organisations apart: the roles that work see nothing of whom they did not name."""

from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from adapters.checkpoint_choosing import sealer_of
from adapters.postgres.migrations import migrate
from domain.lane import Lane
from domain.taxonomy import Taxonomy
from entrypoints.workers.housekeeping import Housekeeping
from projections.read_model import table
from projections.registry import DORA, INCIDENT_LINKS, INCIDENTS, TEAMS
from tests.conftest import Database, Running
from tests.queue.conftest import LANE, Queue

# What says nothing of any organisation: the store's own name, what was sealed, how far each read model has come.
# Positions, and signatures over them.
OF_NOBODY = {
    "rollbook.identity",
    "rollbook.sealed_checkpoints",
    "rollbook.webhook_progress",
    "rollbook_views.checkpoints",
}
ROLES = (None, "rollbook_reader", "rollbook_writer")
TABLES = """select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname like 'rollbook%' and c.relkind in ('r', 'p', 'v', 'm')"""
HELD = {
    "rollbook.checkpoint_heads",
    "rollbook.commands",
    "rollbook.event_log",
    "rollbook.events",
    "rollbook.leases",
    "rollbook.organisations",
    "rollbook.people",
    "rollbook.snapshots",
    "rollbook_views.parked_streams",
}


@pytest.fixture
async def filled(rollbook: Running, queue: Queue, database: Database) -> Database:
    """A store in which acme has something in every table that holds something of organisations."""
    body = {**LANE, "version": "1", "environment": "production", "type": "k8s"}
    created = await queue.ask("POST", "/v1/deployments", 201, json=body, headers={"Idempotency-Key": "k"})
    await queue.claim()
    await queue.ask("POST", f"/v1/deployments/{created['id']}/heartbeat", json={"fence": 1})
    await queue.ask("POST", "/v1/freezes", 201, json={"reason": "sale"})
    await queue.ask("POST", "/v1/tokens", 201, json={"name": "ci"})
    incident = {"title": "Down", "began_at": "2026-01-01T00:00:00Z", "deployments": [{"deployment_id": created["id"]}]}
    await queue.ask("POST", "/v1/incidents", 201, json=incident)
    await queue.ask("PUT", "/v1/teams", json={"teams": {"web": ["shop"]}})
    await queue.ask("GET", "/v1/metrics/dora")
    await queue.ask("GET", "/v1/lanes")
    lane = f"lane-{Lane.open('acme', Taxonomy(**LANE), rollbook.app.executor.clock()).id}"
    loaded = await rollbook.app.store.load("acme", [lane])
    await rollbook.app.store.keep_snapshot("acme", lane, loaded[lane])
    assert await sealer_of(rollbook.app.settings, rollbook.app.pools).seal()
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("insert into rollbook_views.parked_streams values ('deployments', 'deployment-x', 'acme', 1, '')")
    return database


def seen(database: Database, role: str | None, organisation: str | None) -> dict[str, int]:
    """How many rows of each table show themselves; tables that may not be read at all are left out."""
    counts: dict[str, int] = {}
    with psycopg.connect(database.app_url, autocommit=True) as client:
        if role:
            client.execute(f"set role {role}".encode())
        if organisation is not None:
            client.execute("select set_config('rollbook.organisation', %s, false)", [organisation])
        for table in tables(database):
            row = number(client, table)
            counts |= {} if row is None else {table: row}
    return counts


def tables(database: Database) -> list[str]:
    """Every table and view of ours, as the catalogue has them."""
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        return [row[0] for row in admin.execute(TABLES).fetchall()]


def number(client: psycopg.Connection, table: str) -> Any:
    """How many rows show themselves, None where nobody may look. Any column will do, as some may be read alone."""
    for column in ("*", "recorded_at"):
        try:
            row = client.execute(f"select count(*) from (select {column} from {table}) rows".encode()).fetchone()
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedColumn):
            continue
        return row[0] if row else None
    return None


@pytest.mark.parametrize("role", ROLES)
async def test_who_names_no_organisation_or_another_sees_no_row_of_any_table(filled: Database, role: str) -> None:
    for organisation in (None, "", "other", "ACME", "%", "acme' or true --"):
        visible = {table for table, rows in seen(filled, role, organisation).items() if rows}
        assert visible <= OF_NOBODY, organisation


async def test_who_names_the_organisation_sees_its_rows(filled: Database) -> None:
    found: set[str] = set()
    for role in ROLES:
        found |= {table for table, rows in seen(filled, role, "acme").items() if rows}
    assert found >= HELD
    assert {one for one in found if is_read_model(one)} == read_models_that_hold(filled)
    assert {f"rollbook_views.{table(model)}" for model in (DORA, INCIDENTS, INCIDENT_LINKS, TEAMS)} <= found


def is_read_model(table: str) -> bool:
    """Whether it is the table of a read model."""
    return table.startswith("rollbook_views.") and table[-1].isdigit()


def read_models_that_hold(database: Database) -> set[str]:
    """The tables of read models in which there are rows at all."""
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        return {one for one in tables(database) if is_read_model(one) and number(admin, one)}


async def test_every_table_that_names_organisations_has_row_security(filled: Database) -> None:
    query = """select c.oid::regclass::text from pg_class c join pg_attribute a on a.attrelid = c.oid
                where c.relnamespace::regnamespace::text like 'rollbook%' and a.attname = 'organisation'
                  and c.relkind in ('r', 'p') and not c.relispartition and not c.relrowsecurity
                  and (has_table_privilege('rollbook_reader', c.oid, 'select')
                       or has_table_privilege('rollbook_writer', c.oid, 'select'))"""
    with psycopg.connect(filled.admin_url, autocommit=True) as admin:
        assert admin.execute(query).fetchall() == []


async def test_a_writer_of_one_organisation_changes_nothing_of_another(filled: Database) -> None:
    with psycopg.connect(filled.app_url, autocommit=True) as client:
        client.execute("set role rollbook_writer")
        for table in ("people", "organisations", "leases", "snapshots"):
            client.execute("select set_config('rollbook.organisation', 'other', false)")
            assert client.execute(f"update rollbook.{table} set organisation = 'other'".encode()).rowcount == 0
            client.execute("select set_config('rollbook.organisation', 'acme', false)")
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
                client.execute(f"update rollbook.{table} set organisation = 'other'".encode())


async def test_the_projector_that_serves_all_organisations_sees_no_keys_and_no_commands(filled: Database) -> None:
    unseen = {"rollbook.people", "rollbook.organisations", "rollbook.commands", "rollbook.erasures"}
    assert not unseen & seen(filled, "rollbook_projector", None).keys()


async def test_outcomes_are_forgotten_after_a_week_by_a_writer_who_cannot_see_younger_ones(
    filled: Database, rollbook: Running, queue: Queue
) -> None:
    with psycopg.connect(filled.admin_url, autocommit=True) as admin:
        admin.execute("update rollbook.commands set recorded_at = now() - interval '8 days'")
        await queue.ask("PUT", "/v1/rules", json={}, headers={"Idempotency-Key": "young"})
        assert admin.execute("select count(*) from rollbook.commands").fetchone() == (2,)
        await Housekeeping(rollbook.app).forget_commands()
        assert admin.execute("select count(*) from rollbook.commands").fetchone() == (1,)


async def test_a_role_that_inherits_what_others_may_still_sees_nothing_by_itself(filled: Database) -> None:
    with psycopg.connect(filled.admin_url, autocommit=True) as admin:
        admin.execute("create role heir login inherit password 'secret'")
        try:
            await migrate(filled.owner_url, "heir")
            url = make_conninfo(filled.app_url, user="heir", password="secret")
            with psycopg.connect(url, autocommit=True) as client:
                assert {table for table in tables(filled) if number(client, table) is not None} == set()
                client.execute("set role rollbook_reader")
                assert number(client, "rollbook.events") == 0
        finally:
            admin.execute("drop owned by heir")
            admin.execute("drop role heir")
