"""The embedded servers start, stop, survive being killed, and let nobody in without a password."""

import asyncio
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import nats
import nats.errors
import psycopg
import pytest
from structlog.testing import capture_logs

from adapters.embedded.nats import EmbeddedNats
from adapters.embedded.postgres import DATABASE, EmbeddedPostgres
from adapters.embedded.process import CannotStart

SMALL = {"shared_buffers": "16MB"}
REPOSITORY = Path(__file__).parents[2]
HOLDER = """
import asyncio, os, sys
from pathlib import Path
from adapters.embedded.postgres import EmbeddedPostgres

async def hold():
    if len(sys.argv) > 2:
        os.setgroups([])
        os.setgid(int(sys.argv[2]))
        os.setuid(int(sys.argv[2]))
    async with EmbeddedPostgres(Path(sys.argv[1]), settings={"shared_buffers": "16MB"}) as running:
        print(running.app_url, flush=True)
        await asyncio.sleep(60)

asyncio.run(hold())
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that ordinary users may pass through; pytest's own are closed to them."""
    with TemporaryDirectory(prefix="rollbook-embedded-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        yield Path(name)


@contextmanager
def holder(data: Path, user: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """Another copy on these data; it becomes `user` once Python is loaded, which may be closed to that user."""
    command = [sys.executable, "-c", HOLDER, str(data), *([str(user)] if user else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as child:
        try:
            yield child
        finally:
            child.kill()


def first_line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


async def answer(url: str, question: str = "select 1") -> object:
    async with await psycopg.AsyncConnection.connect(url, connect_timeout=30) as connection:
        row = await (await connection.execute(question.encode())).fetchone()
        assert row is not None
        return row[0]


async def eventually(url: str) -> object:
    """Its first answer, within thirty seconds."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await answer(url)
            except psycopg.OperationalError:
                await asyncio.sleep(0.05)


async def test_postgres_finds_its_data_again(folder: Path) -> None:
    async with (
        EmbeddedPostgres(folder, settings=SMALL) as first,
        await psycopg.AsyncConnection.connect(first.owner_url) as connection,
    ):
        await connection.execute("create table kept as select 42 as value")
    async with EmbeddedPostgres(folder, settings=SMALL) as second:
        assert await answer(second.owner_url, "select value from kept") == 42


async def test_postgres_is_durable_and_checks_its_pages(folder: Path) -> None:
    async with EmbeddedPostgres(folder, settings=SMALL) as running:
        for name in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
            assert await answer(running.app_url, f"show {name}") == "on"


async def test_working_roles_have_no_more_power_than_they_need(folder: Path) -> None:
    powers = "select rolsuper or rolbypassrls or rolcreaterole from pg_roles where rolname = current_user"
    async with EmbeddedPostgres(folder, settings=SMALL) as running:
        assert await answer(running.app_url, powers) is False
        assert await answer(running.owner_url, powers.replace(" or rolcreaterole", "")) is False


@pytest.mark.parametrize("role", ["postgres", "rollbook_owner", "rollbook_app"])
async def test_postgres_lets_nobody_in_without_a_password(folder: Path, role: str) -> None:
    async with EmbeddedPostgres(folder, settings=SMALL) as running:
        for secret in ("", ":wrong"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                await answer(f"postgresql://{role}{secret}@127.0.0.1:{running.port}/{DATABASE}")
        rules = "select count(*) from pg_hba_file_rules where auth_method <> 'scram-sha-256'"
        assert await answer(running.admin_url, rules) == 0


async def test_secrets_are_readable_by_their_owner_only(folder: Path) -> None:
    async with EmbeddedPostgres(folder, settings=SMALL), EmbeddedNats(folder):
        secrets = folder / "secrets"
        assert secrets.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o600}
        assert (folder / "nats" / "nats.conf").stat().st_mode & 0o777 == 0o600


async def test_a_second_copy_on_the_same_data_is_refused(folder: Path) -> None:
    async with EmbeddedPostgres(folder, settings=SMALL) as first:
        with pytest.raises(CannotStart, match="Another copy of Rollbook runs on"):
            await EmbeddedPostgres(folder, settings=SMALL).start()
        assert await answer(first.app_url) == 1


async def test_postgres_is_started_again_when_it_is_killed(folder: Path) -> None:
    async with EmbeddedPostgres(folder, settings=SMALL) as running:
        assert running.child is not None
        assert running.child.process is not None
        killed = running.child.process
        killed.send_signal(signal.SIGKILL)
        await killed.wait()
        assert await eventually(running.app_url) == 1


async def test_a_start_that_fails_for_a_while_is_tried_again(folder: Path) -> None:
    async with EmbeddedPostgres(folder, settings=SMALL) as running:
        child = running.child
        assert child is not None
        assert child.process is not None
        child.log_path.rename(folder / "kept.log")
        child.log_path.mkdir()
        with capture_logs() as said:
            child.process.send_signal(signal.SIGKILL)
            await until(lambda: "child.not_started" in [line["event"] for line in said])
        child.log_path.rmdir()
        assert await eventually(running.app_url) == 1


async def until(true: Callable[[], bool]) -> None:
    """Returns when it is true; fails after thirty seconds."""
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.01)


async def test_postgres_starts_on_what_a_killed_copy_left(folder: Path) -> None:
    with holder(folder) as other:
        assert first_line(other).startswith("postgresql://")
        other.send_signal(signal.SIGKILL)
        other.wait(60)
        async with EmbeddedPostgres(folder, settings=SMALL) as running:
            assert await answer(running.app_url) == 1


async def test_an_initialisation_that_was_cut_short_is_made_again(folder: Path) -> None:
    half = EmbeddedPostgres(folder).folder.own("postgres") / "data.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    async with EmbeddedPostgres(folder, settings=SMALL) as running:
        assert await answer(running.app_url) == 1
        assert not half.exists()


async def test_torn_files_of_ours_do_not_stop_a_start(folder: Path) -> None:
    (folder / "nats.port").write_text("")
    (folder / "secrets").mkdir(mode=0o700)
    (folder / "secrets" / "nats").write_text("")
    async with EmbeddedNats(folder) as running:
        assert len(running.folder.secret("nats")) > 20


async def test_passwords_of_other_data_are_refused_at_once(folder: Path) -> None:
    async with EmbeddedPostgres(folder, settings=SMALL):
        pass
    (folder / "secrets" / "postgres").write_text("another")
    with pytest.raises(CannotStart, match=r"^The passwords in .*secrets are not those of the data beside it$"):
        await EmbeddedPostgres(folder, settings=SMALL).start()


@pytest.mark.parametrize("file", ["PG_VERSION", "global/pg_control", "postgresql.conf"])
async def test_data_that_are_broken_are_refused_in_one_line(folder: Path, file: str) -> None:
    async with EmbeddedPostgres(folder, settings=SMALL):
        pass
    (folder / "postgres" / "data" / file).write_bytes(b"nonsense = \xff")
    with pytest.raises(CannotStart, match=rf"^Postgres does not start: .+ \(see {folder}/postgres.log\)$"):
        await EmbeddedPostgres(folder, settings=SMALL).start()


async def test_an_ordinary_user_starts_it_too(folder: Path) -> None:
    user = pwd.getpwnam("daemon").pw_uid if os.geteuid() == 0 else None
    if user is not None:
        os.chown(folder, user, user)
    with holder(folder, user) as other:
        url = await asyncio.to_thread(first_line, other)
        assert await answer(url) == 1
        assert (folder / "postgres" / "data").stat().st_uid == folder.stat().st_uid


@pytest.mark.parametrize("name", ["with spaces and 'quotes'", "d" * 120])
async def test_odd_folders_are_welcome(folder: Path, name: str) -> None:
    data = folder / name
    async with EmbeddedPostgres(data, settings=SMALL) as running, EmbeddedNats(data) as messages:
        assert await answer(running.app_url) == 1
        assert await messages.answers()


async def test_a_relative_folder_is_welcome(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", "/nowhere")
    monkeypatch.setenv("TMPDIR", "/nowhere")
    async with EmbeddedPostgres(Path("data"), settings=SMALL) as running:
        assert await answer(running.app_url) == 1


async def test_nats_refuses_who_has_no_password(folder: Path) -> None:
    async with EmbeddedNats(folder) as running:
        assert await running.answers()
        with pytest.raises(nats.errors.Error):
            await nats.connect(f"nats://127.0.0.1:{running.port}", allow_reconnect=False, connect_timeout=2)


async def test_nats_keeps_its_streams(folder: Path) -> None:
    async with EmbeddedNats(folder) as first:
        client = await nats.connect(first.url)
        await client.jetstream().add_stream(name="kept", subjects=["kept.>"])
        await client.jetstream().publish("kept.one", b"x" * 1_000_000)
        await client.close()
    async with EmbeddedNats(folder) as second:
        client = await nats.connect(second.url)
        assert (await client.jetstream().stream_info("kept")).state.messages == 1
        await client.close()
