"""What has been applied or is in use somewhere never changes: steps of the schema, and tables of read models."""

from hashlib import sha256

import psycopg

from adapters.postgres.migrations import steps
from projections.read_model import table
from projections.registry import READ_MODELS
from tests.conftest import Database, Running

# Databases that have applied a step never see it again: a change is another step, listed here when it lands.
STEPS = {
    "001_event_store": "5488c02810870c7d0107b1edaefb13838e154d1b21e96d4ee3b376e7e7df3c56",
    "002_epochs": "b77f72bebac22d85e227100f5a110be43a0dde6ed4d2a169536ff790ba107eaf",
    "003_read_model_uses": "d5d4a82bf12248a9e3725c6ec7cc9a0d58405f737f65e23c70cc10c9d8c8049e",
    "004_unbroken_versions": "8abf9cb319d18a9f5aeb12cce78ef2f9cd74a408109c03c156b8f2d87de709da",
    "005_partitions_for_ever": "7260e378542ae66b03288192e754bc2ef50520d4aa5f793973cb4131f49df802",
    "006_row_security": "a0d156d7dbae8db19b0430d41475879124da152e80124958455b3aed519dd42b",
}
EVERY = "key text, organisation text, from_position bigint, to_position bigint, fork bigint, {}, document text"
TAXONOMY = "name text, provider text, cloud_account_id text, region text, cell text"
# Two releases side by side write the same table: other columns are another version, listed here when it lands.
TABLES = {
    "deployments_v2": EVERY.format(
        "created_position bigint, status text, name text, environment text, provider text, cloud_account_id text, "
        "region text, cell text, trigger text, lane_id uuid, lease_until timestamp with time zone"
    ),
    "freezes_v2": EVERY.format("created_position bigint"),
    "lanes_v2": EVERY.format(f"created_position bigint, {TAXONOMY}"),
    "tokens_v2": EVERY.format("created_position bigint, sha256 text"),
}
COLUMNS = """
select table_name, string_agg(column_name || ' ' || data_type, ', ' order by ordinal_position)
  from information_schema.columns where table_name = any(%s) group by table_name
"""


def test_no_step_of_the_schema_that_has_landed_is_changed_or_missing() -> None:
    found = {name: sha256(script.encode()).hexdigest() for name, script in steps()}
    assert STEPS.items() <= found.items()


async def test_no_table_of_a_read_model_that_has_landed_is_changed(rollbook: Running, database: Database) -> None:
    await rollbook.client.get("/v1/deployments")
    names = [table(model) for model in READ_MODELS]
    with psycopg.connect(database.admin_url) as admin:
        found: dict[str, str] = dict(admin.execute(COLUMNS, [names]).fetchall())
    assert found.keys() == set(names)
    assert {name: columns for name, columns in found.items() if name in TABLES} == {
        name: columns for name, columns in TABLES.items() if name in names
    }
