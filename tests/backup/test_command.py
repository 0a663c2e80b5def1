"""`rollbook backup | restore` as somebody at a terminal, or a script, uses them."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2
import pytest

from adapters.postgres.backup_archive import BackupRefused
from tests.backup.ground import Place, fill
from tests.conftest import Running, open_folder
from tests.faults.instance import Instance
from tests.queue.conftest import ACME, Queue

pytestmark = pytest.mark.timeout(120)
Ended = subprocess.CompletedProcess[str]
Run = Callable[..., Awaitable[Ended]]


async def command(*arguments: str, **settings: str) -> Ended:
    """Runs a command with these settings and nothing else of the environment; other tasks go on meanwhile."""
    line = [str(Path(sys.executable).parent / "rollbook"), *arguments]
    folder, environment = settings["DATA_DIR"], {"PATH": os.environ["PATH"], **settings}

    def ended() -> Ended:
        return subprocess.run(line, capture_output=True, text=True, env=environment, cwd=folder, timeout=60)

    return await asyncio.to_thread(ended)


@pytest.fixture
def run(home: Place) -> Run:
    """Runs a command on the store of the Rollbook that runs."""
    urls = {"DATABASE_URL": home.database.app_url, "DATABASE_OWNER_URL": home.database.owner_url}
    return lambda *arguments, **more: command(*arguments, **{"DATA_DIR": str(home.data_dir), **urls, **more})


async def test_a_backup_is_told_to_people_and_its_path_to_pipes(rollbook: Running, run: Run, tmp_path: Path) -> None:
    await fill(Queue(rollbook.client), 2)
    done = await run("backup", str(tmp_path / "b.zip"))
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'b.zip'}\n")
    assert "Copying" in done.stderr and "rows, " in done.stderr, "a bar with its rate"
    assert "events, " in done.stderr and "digest " in done.stderr
    assert "Keep the master key too" in done.stderr
    assert (tmp_path / "b.zip").stat().st_mode & 0o777 == 0o600


async def test_a_program_gets_json_and_nothing_else(rollbook: Running, run: Run, tmp_path: Path) -> None:
    await fill(Queue(rollbook.client), 2)
    made = await run("backup", str(tmp_path), "--with-key", "--json")
    facts = json.loads(made.stdout)
    assert (made.returncode, made.stderr) == (0, "")
    assert (facts["events"], facts["key_included"], facts["epoch"]) == (await head(rollbook), True, 1)
    assert facts["size"] == Path(facts["path"]).stat().st_size
    checked = await run("restore", "--check", facts["path"], "--json")
    assert (checked.returncode, checked.stderr) == (0, "")
    told = json.loads(checked.stdout)
    assert told["valid"] and told["digest"] == facts["digest"]
    restored = json.loads((await run("restore", facts["path"], "--replace", "--while-running", "--json")).stdout)
    assert (restored["epoch_before"], restored["events_given_up"]) == (1, facts["events"])
    assert restored["epoch"] > 1


async def head(running: Running) -> int:
    return await running.app.log.head()


async def test_every_refusal_is_one_line_and_an_exit_code(rollbook: Running, run: Run, tmp_path: Path) -> None:
    await fill(Queue(rollbook.client), 2)
    file = str(tmp_path / "b.zip")
    assert (await run("backup", file)).returncode == 0
    away = dict.fromkeys(("DATABASE_URL", "DATABASE_OWNER_URL"), "postgresql://a:secret@127.0.0.1:1/b")
    refusals = [
        (await run("backup", file), 1, "is there already; a backup overwrites nothing (BACKUP_REFUSED)"),
        (await run("restore", file, "--while-running"), 1, "--replace gives them up (BACKUP_REFUSED)"),
        (await run("restore"), 2, "Missing argument"),
        (await run("backup", file + "2", **away), 5, "The database: connection failed: "),
    ]
    for ended, code, why in refusals:
        assert (ended.returncode, ended.stdout) == (code, ""), ended.stderr
        assert why in ended.stderr
        assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
        assert "secret" not in ended.stderr


async def test_where_to_find_a_store_is_told_in_words(rollbook: Running, home: Place, tmp_path: Path) -> None:
    target = tmp_path / "b.zip"
    with pytest.raises(BackupRefused, match=r"^DATABASE_OWNER_URL is not that of the owner of the store$"):
        await home.take(target, database_owner_url=home.database.app_url)
    with pytest.raises(BackupRefused, match=r"^DATABASE_OWNER_URL is not set: only the owner"):
        await home.take(target, database_owner_url=None)
    with pytest.raises(BackupRefused, match=r"^There is no Rollbook in .*: set DATA_DIR, or DATABASE_URL$"):
        await home.take(target, database_url=None)
    assert not target.exists()


async def test_a_machine_that_has_nothing_is_made_from_a_backup(taken: Path, tmp_path: Path) -> None:
    """Without DATABASE_URL it is the Postgres in DATA_DIR that counts: missing, stopped or running."""
    with open_folder("new") as folder:
        here = {"DATA_DIR": str(folder)}
        before = json.loads((await command("restore", str(taken), "--json", **here)).stdout)
        system = Instance(folder)
        await system.start()
        try:
            async with httpx2.AsyncClient(base_url=system.url, timeout=20) as http:
                shown = await http.get("/v1/deployments", headers=ACME)
            assert (shown.status_code, len(shown.json())) == (200, 4)
            assert "erased" not in {row["created_by_actor"] for row in shown.json()}, "the key came along"
            running = await command("backup", str(tmp_path / "running.zip"), "--json", **here)
            assert json.loads(running.stdout)["events"] == before["events"]
        finally:
            code = await system.terminate()
        assert code == 0
        stopped = json.loads((await command("backup", str(tmp_path / "stopped.zip"), "--json", **here)).stdout)
        assert (stopped["events"], stopped["epoch"]) == (before["events"], before["epoch"])
        assert not system.members() and not (folder / "postgres" / "data" / "postmaster.pid").exists()
