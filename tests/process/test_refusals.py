"""A process that cannot start says why in one line and ends with a code."""

import socket
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from adapters.embedded.postgres import EmbeddedPostgres
from tests.conftest import Database, Running, numbers, reserved_port
from tests.process.conftest import DEPLOYMENT, told


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of this machine on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def refusal(part: str, code: int = 1, **settings: str) -> str:
    """The one line with which the process ends, with this code."""
    ended, said = await told(part, **settings)
    (line,) = said.splitlines()
    assert ended == code, line
    assert line.startswith("error: ")
    assert "hunter2" not in line
    return line


@pytest.mark.parametrize("name", ["API_PORT", "MANAGEMENT_PORT"])
async def test_a_port_that_is_taken_is_named_with_its_setting(name: str, taken: int) -> None:
    line = await refusal("up", 1, **{name: str(taken)})
    assert f"Port {taken} on 127.0.0.1 is in use: set {name} to a free one" in line


async def test_one_port_for_both_doors_is_refused() -> None:
    port = str(reserved_port())
    assert "set API_PORT to a free one" in await refusal("up", API_PORT=port, MANAGEMENT_PORT=port)


async def test_an_address_of_another_machine_is_refused() -> None:
    assert "API_HOST=192.0.2.1 is no address of this machine" in await refusal("serve", API_HOST="192.0.2.1")


async def test_open_doors_are_a_bad_setting() -> None:
    line = await refusal("up", code=2, AUTH_ENABLED="false", API_HOST="0.0.0.0")
    assert "ALLOW_UNAUTHENTICATED_NETWORK" in line


@pytest.mark.parametrize("part", ["up", "work"])
async def test_a_bad_setting_ends_it_with_code_2(part: str) -> None:
    assert "READ_WAIT_MS" in await refusal(part, code=2, READ_WAIT_MS="soon")


async def test_a_data_folder_that_cannot_be_written_is_named() -> None:
    assert "DATA_DIR /dev/null" in await refusal("up", DATA_DIR="/dev/null/data")


async def test_a_master_key_that_is_none_is_named(database: Database, tmp_path: Path) -> None:
    key = tmp_path / "secrets" / "master.key"
    key.parent.mkdir()
    key.write_text("torn")
    urls = {"DATABASE_URL": database.app_url, "DATABASE_OWNER_URL": database.owner_url}
    assert f"{key} does not hold a master key" in await refusal("serve", 1, **urls, DATA_DIR=str(tmp_path))


@pytest.mark.parametrize("name", ["DATABASE_URL", "DATABASE_OWNER_URL"])
async def test_a_database_that_does_not_answer_is_named(name: str, database: Database) -> None:
    urls = {"DATABASE_URL": database.app_url, "DATABASE_OWNER_URL": database.owner_url}
    nobody = f"postgresql://rollbook_app:hunter2@127.0.0.1:{reserved_port()}/db"
    line = await refusal("serve", 1, **urls | {name: nobody})
    assert f"{name}: " in line and "Connection refused" in line


async def test_a_rebuild_of_a_database_that_does_not_answer_says_so() -> None:
    line = await refusal("rebuild", 5, DATABASE_URL=f"postgresql://ann:hunter2@127.0.0.1:{reserved_port()}/db")
    assert "Connection refused" in line


async def test_a_rebuild_where_nothing_runs_says_so() -> None:
    assert "start it, or set DATABASE_URL" in await refusal("rebuild", 2)


async def test_a_wrong_password_is_told(database: Database, postgres: EmbeddedPostgres) -> None:
    url = f"postgresql://rollbook_app:hunter2@127.0.0.1:{postgres.port}/{database.name}"
    assert "DATABASE_URL: " in await refusal("project", DATABASE_URL=url)


async def test_a_role_with_too_much_power_is_refused(database: Database) -> None:
    assert "DATABASE_URL names a role that is a superuser" in await refusal("work", DATABASE_URL=database.admin_url)


async def test_another_master_key_than_the_store_s_is_refused(rollbook: Running, database: Database) -> None:
    urls = {"DATABASE_URL": database.app_url, "DATABASE_OWNER_URL": database.owner_url}
    await rollbook.client.post("/v1/deployments", json=DEPLOYMENT)
    assert "set MASTER_KEY" in await refusal("serve", 1, **urls)
    other = b64encode(b"k" * 32).decode()
    assert "set MASTER_KEY" in await refusal("serve", 1, **urls, MASTER_KEY=other)


async def test_a_database_without_the_schema_asks_for_its_owner(postgres: EmbeddedPostgres) -> None:
    name = f"empty_{next(numbers)}"
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(f"create database {name}".encode())
    assert "set DATABASE_OWNER_URL once" in await refusal("serve", DATABASE_URL=postgres.url("rollbook_app", name))
