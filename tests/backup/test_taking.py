"""A backup is one moment of the store, whole, in a file that nobody else reads."""

import asyncio
import errno
import hashlib
import os
import stat
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.postgres.backup import Backup
from adapters.postgres.backup_archive import BackupRefused
from adapters.postgres.backup_manifest import TABLES
from entrypoints import backups
from tests.backup.conftest import MakePlace
from tests.backup.ground import Place, events_in, files_of, fill, manifest_of, quiet
from tests.conftest import Running
from tests.queue.conftest import Queue

OTHER_KEY = "b3RoZXIga2V5IG90aGVyIGtleSBvdGhlciBrZXkgb3Q="


async def test_backups_under_load_are_consistent(rollbook: Running, home: Place, tmp_path: Path) -> None:
    stop, taken = asyncio.Event(), list[Backup]()

    async def load() -> None:
        for number in count():
            if stop.is_set():
                return
            await fill(Queue(rollbook.client, f"acme-{number}"), 16)

    loading = asyncio.create_task(load())
    while len({one.manifest.last_position for one in taken}) < 3 and not loading.done():
        taken.append(await home.take(tmp_path / f"{len(taken)}.zip"))
    stop.set()
    await loading
    log = home.rows("select position, commit_position, hash from rollbook.events order by position")
    for one in taken:
        manifest = backups.check(one.path, quiet)
        assert manifest == one.manifest
        found = [(number(e["position"]), number(e["commit_position"]), e["hash"]) for e in events_in(one.path)]
        assert found == log[: manifest.last_position], "a beginning of the log, event by event"
        assert not found or found[-1][0] == found[-1][1], "no commit is cut in two"
        assert one.size == one.path.stat().st_size


def number(value: bytes) -> int:
    return int.from_bytes(value, signed=True)


async def test_the_manifest_counts_and_seals_what_is_there(rollbook: Running, home: Place, tmp_path: Path) -> None:
    await fill(Queue(rollbook.client), 6)
    taken = await home.take(tmp_path)
    files = files_of(taken.path)
    told = manifest_of(files)
    truth = home.truth()
    counted = dict.fromkeys(truth, 0)
    for part in told["parts"]:
        counted[part["table"]] += part["rows"]
        content = files[part["file"]]
        assert (part["bytes"], part["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert counted == {name: len(rows) for name, rows in truth.items()}
    assert told["last_position"] == len(truth["events"])
    assert (told["store_id"], told["epoch"]) == rollbook.app.identity
    assert home.told[-1] == (sum(counted.values()), sum(counted.values()))


async def test_an_empty_store_has_a_backup_too(home: Place, tmp_path: Path) -> None:
    taken = await home.take(tmp_path / "empty.zip")
    assert backups.check(taken.path, quiet).last_position == 0


async def test_nobody_else_may_read_a_backup(home: Place, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        taken = await home.take(tmp_path / "private.zip")
    finally:
        os.umask(before)
    assert stat.S_IMODE(taken.path.stat().st_mode) == 0o600


async def test_a_folder_gets_a_file_whose_name_tells_the_moment(home: Place, tmp_path: Path) -> None:
    taken = await home.take(tmp_path)
    assert taken.path.parent == tmp_path
    assert taken.path.name == f"rollbook-{taken.manifest.taken_at:%Y%m%dT%H%M%SZ}-1-0.zip"


async def test_nothing_is_overwritten(home: Place, tmp_path: Path) -> None:
    there = tmp_path / "there.zip"
    there.write_text("mine")
    dangling = tmp_path / "dangling.zip"
    dangling.symlink_to(tmp_path / "nowhere")
    for target in (there, dangling):
        with pytest.raises(BackupRefused, match="is there already; a backup overwrites nothing"):
            await home.take(target)
    assert there.read_text() == "mine"
    assert names_in(tmp_path) == {"there.zip", "dangling.zip"}


async def test_a_file_that_appears_meanwhile_is_not_overwritten(home: Place, tmp_path: Path) -> None:
    target = tmp_path / "late.zip"

    def appear(_: str) -> Any:
        return lambda done, total: target.write_text("theirs")

    with pytest.raises(BackupRefused, match="is there already"):
        await backups.take(home.settings(), target, False, True, appear)
    assert target.read_text() == "theirs"
    assert names_in(tmp_path) == {"late.zip"}


async def test_what_fails_leaves_no_file(home: Place, tmp_path: Path) -> None:
    def full(_: str) -> Any:
        def tell(done: int, total: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        return tell

    with pytest.raises(BackupRefused, match=r"cannot be written: No space left on device$"):
        await backups.take(home.settings(), tmp_path / "full.zip", False, True, full)
    with pytest.raises(BackupRefused, match=r"cannot be written: No such file or directory$"):
        await home.take(tmp_path / "missing" / "folder.zip")
    assert names_in(tmp_path) == set()


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"data"}


async def test_the_master_key_goes_in_only_when_asked(rollbook: Running, home: Place, tmp_path: Path) -> None:
    await fill(Queue(rollbook.client), 1)
    secret = (home.data_dir / "secrets" / "master.key").read_bytes()
    without = await home.take(tmp_path / "without.zip")
    assert secret not in b"".join(files_of(without.path).values())
    assert (without.manifest.key_included, without.manifest.key_id) == (False, without.manifest.key_id)
    within = await home.take(tmp_path / "with.zip", with_key=True)
    assert files_of(within.path)["master.key"] == secret
    assert (within.manifest.key_included, within.manifest.key_id) == (True, without.manifest.key_id)


async def test_a_key_that_is_not_the_store_s_is_refused(rollbook: Running, home: Place, tmp_path: Path) -> None:
    await fill(Queue(rollbook.client), 1)
    with pytest.raises(BackupRefused, match="not the one of this store"):
        await home.take(tmp_path / "wrong.zip", master_key=OTHER_KEY)


async def test_where_no_key_is_known_there_is_none_to_put_in(elsewhere: MakePlace, tmp_path: Path) -> None:
    place = elsewhere()
    assert not (await place.take(tmp_path / "keyless.zip")).manifest.key_id
    with pytest.raises(BackupRefused, match="no master key here"):
        await place.take(tmp_path / "with.zip", with_key=True)


async def test_appends_do_not_wait_for_a_backup(taken: Path, elsewhere: MakePlace, tmp_path: Path) -> None:
    place, passed = elsewhere(), []
    await place.restore(taken)

    def in_the_middle(_: str) -> Any:
        def tell(done: int, total: int) -> None:
            with psycopg.connect(place.database.owner_url) as connection:
                connection.execute("set lock_timeout = '30s'")
                connection.execute("select pg_advisory_xact_lock(7240563), rollbook.add_partition(20000000)")
                passed.append(done)
                connection.rollback()

        return tell

    await backups.take(place.settings(), tmp_path / "unhindered.zip", False, True, in_the_middle)
    assert passed, "the lock of appends and what adds a partition were free all the time"


async def test_every_table_is_in_a_backup_or_follows_from_the_log(home: Place) -> None:
    """A restore empties all tables of ours, so one that is missing here would be lost by it.

    What workers say while they run ends with the epoch: other workers begin their jobs again. And checkpoints
    are handed on from the first one again. What deliveries were cannot be asked about a moment before a restore.
    """
    names = {name for (name,) in home.rows("select tablename from pg_tables where schemaname = 'rollbook'")}
    follows = {"snapshots", "identity", "job_runs", "checkpoint_exports"}
    follows |= {"webhook_delivery_versions", "webhook_horizons"}
    follows |= {name for name in names if name.startswith("events_")}
    assert names - follows == TABLES.keys()
    for name, columns in TABLES.items():
        query = f"""select attname from pg_attribute where attrelid = 'rollbook.{name}'::regclass and attnum > 0
                       and not attisdropped order by attnum"""
        assert tuple(column for (column,) in home.rows(query)) == columns
