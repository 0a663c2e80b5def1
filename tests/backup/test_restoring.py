"""A restore puts back what was there, under a new epoch, and gives nothing up unasked."""

import asyncio
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from adapters.postgres.backup_archive import BackupRefused
from adapters.postgres.backup_exchange import Token
from adapters.postgres.backup_restore import Wish
from tests.backup.conftest import MakePlace
from tests.backup.ground import OVER, Place, fill
from tests.conftest import Running, running_rollbook
from tests.faults.load import body
from tests.queue.conftest import Queue

OTHER_KEY = "b3RoZXIga2V5IG90aGVyIGtleSBvdGhlciBrZXkgb3Q="
ALL = "/v1/deployments?limit=1000"


async def test_an_empty_store_becomes_what_was_backed_up(
    rollbook: Running, home: Place, elsewhere: MakePlace, tmp_path: Path
) -> None:
    queue = Queue(rollbook.client)
    await fill(queue, 12)
    seen = await queue.ask("GET", ALL)
    taken = await home.take(tmp_path / "b.zip", with_key=True)
    place = elsewhere()
    manifest, done = await place.restore(taken.path)
    assert manifest == taken.manifest
    assert place.truth() == home.truth()
    assert place.rows("select store_id::text from rollbook.identity") == [(rollbook.app.identity[0],)]
    assert (done.before.last_position, done.erased) == (0, 0)
    async with running_rollbook(place.settings(), place.database) as again:
        assert await Queue(again.client).ask("GET", ALL) == seen, "logins included: the key came along"
        await fill(Queue(again.client, "other"), 2)


async def test_a_restore_raises_the_epoch_every_time(home: Place, elsewhere: MakePlace, tmp_path: Path) -> None:
    taken = await home.take(tmp_path / "b.zip")
    place = elsewhere()
    _, first = await place.restore(taken.path)
    _, second = await place.restore(taken.path)
    assert taken.manifest.epoch < first.epoch < second.epoch
    assert second.before.epoch == first.epoch
    assert place.rows("select epoch from rollbook.identity") == [(second.epoch,)]


async def test_a_backup_of_a_higher_epoch_is_restored_under_one_higher_still(
    elsewhere: MakePlace, tmp_path: Path
) -> None:
    place = elsewhere()
    with_epoch(place, 500_000_000)
    taken = await place.take(tmp_path / "b.zip")
    _, done = await elsewhere().restore(taken.path)
    assert done.epoch == 500_000_001


def with_epoch(place: Place, epoch: int) -> None:
    place.change(f"update rollbook.identity set epoch = {epoch}")


async def test_a_log_that_is_there_is_not_given_up_unasked(rollbook: Running, home: Place, tmp_path: Path) -> None:
    await fill(Queue(rollbook.client), 2)
    taken = await home.take(tmp_path / "b.zip", with_key=True)
    await fill(Queue(rollbook.client, "other"), 2)
    before = home.truth()
    with pytest.raises(BackupRefused, match=r"^Rollbook still runs on this store \(.*\): stop it, or add"):
        await home.restore(taken.path, Wish(replace=True))
    with pytest.raises(BackupRefused, match=r"^The store has \d+ events already: --replace gives them up$"):
        await home.restore(taken.path, Wish(while_running=True))
    assert home.truth() == before
    assert home.rows("select epoch from rollbook.identity") == [(1,)]


async def test_who_is_about_to_hang_up_does_not_keep_a_restore_from_its_work(
    rollbook: Running, home: Place, elsewhere: MakePlace, tmp_path: Path
) -> None:
    await fill(Queue(rollbook.client), 2)
    taken = await home.take(tmp_path / "b.zip", with_key=True)
    place = elsewhere()
    with psycopg.connect(place.database.owner_url, application_name="rollbook somebody"):
        restoring = asyncio.create_task(place.restore(taken.path))
        async with asyncio.timeout(20):
            while not place.rows("select from pg_stat_activity where application_name = 'rollbook restore'"):
                assert not restoring.done()
                await asyncio.sleep(0.01)
    await restoring
    assert place.truth() == home.truth()


async def test_another_store_is_not_given_up_unasked(
    rollbook: Running, home: Place, elsewhere: MakePlace, tmp_path: Path
) -> None:
    await fill(Queue(rollbook.client), 2)
    stranger = elsewhere()
    stranger.change("update rollbook.identity set store_id = gen_random_uuid()")
    async with running_rollbook(stranger.settings(), stranger.database) as other:
        await fill(Queue(other.client), 4)
    taken = await home.take(tmp_path / "b.zip")
    # Both know the same master key, so that only the store differs.
    (stranger.data_dir / "secrets" / "master.key").write_bytes((home.data_dir / "secrets" / "master.key").read_bytes())
    before = stranger.everything()
    with pytest.raises(BackupRefused, match=r"^The backup is of store .*, and here is store .*: --another-store"):
        await stranger.restore(taken.path, Wish(replace=True))
    assert stranger.everything() == before
    await stranger.restore(taken.path, Wish(replace=True, another_store=True))
    assert stranger.truth() == home.truth()


async def test_an_older_backup_takes_the_place_of_what_came_after(
    rollbook: Running, home: Place, tmp_path: Path
) -> None:
    queue = Queue(rollbook.client)
    await fill(queue, 6)
    then = home.truth()
    taken = await home.take(tmp_path / "b.zip")
    await fill(queue, 30)
    _, done = await home.restore(taken.path, OVER)
    assert done.before.last_position > taken.manifest.last_position
    assert home.truth() == then
    assert home.rows("select * from rollbook_views.checkpoints where position > 0 and epoch = 1") == []
    assert home.rows("select * from rollbook.snapshots") == []


async def test_whoever_was_erased_since_stays_erased(rollbook: Running, home: Place, tmp_path: Path) -> None:
    queue = Queue(rollbook.client)
    await fill(queue, 2)
    taken = await home.take(tmp_path / "b.zip", with_key=True)
    ((actor, organisation),) = home.rows("select actor_id, organisation from rollbook.people")
    assert await rollbook.app.people.erase(organisation, actor)
    _, done = await home.restore(taken.path, OVER)
    assert done.erased == 1
    assert home.rows("select * from rollbook.people") == []
    assert [row[:2] for row in home.rows("select * from rollbook.erasures")] == [(organisation, actor)]
    async with running_rollbook(home.settings(), home.database) as again:
        found = await Queue(again.client).ask("GET", ALL)
    assert {one["created_by_actor"] for one in found} == {"erased"}


async def test_an_erasure_before_the_backup_is_in_it(
    rollbook: Running, home: Place, elsewhere: MakePlace, tmp_path: Path
) -> None:
    await fill(Queue(rollbook.client), 2)
    early = await home.take(tmp_path / "early.zip", with_key=True)
    ((actor, organisation),) = home.rows("select actor_id, organisation from rollbook.people")
    await rollbook.app.people.erase(organisation, actor)
    late = await home.take(tmp_path / "late.zip", with_key=True)
    place = elsewhere()
    await place.restore(late.path)
    assert place.rows("select * from rollbook.people") == []
    _, done = await place.restore(early.path, Wish(replace=True))
    assert done.erased == 1, "what the later backup knew, the earlier one cannot undo"
    assert [row[:2] for row in place.rows("select * from rollbook.erasures")] == [(organisation, UUID(str(actor)))]


async def test_a_key_of_a_command_answers_as_before_and_a_lost_one_runs_again(
    rollbook: Running, home: Place, tmp_path: Path
) -> None:
    queue = Queue(rollbook.client)
    kept = await create(queue, "kept", 1)
    taken = await home.take(tmp_path / "b.zip")
    lost = await create(queue, "lost", 2)
    await home.restore(taken.path, OVER)
    async with running_rollbook(home.settings(), home.database) as again:
        queue = Queue(again.client)
        assert await create(queue, "kept", 1) == kept
        repeated = await create(queue, "lost", 2)
        assert repeated["id"] != lost["id"], "it happened in an epoch that is no more, so it happens now"
        assert await create(queue, "lost", 2) == repeated
        await queue.ask("POST", "/v1/deployments", 422, json=body(3, "3"), headers={"Idempotency-Key": "kept"})
        assert len(await queue.ask("GET", ALL)) == 2


async def create(queue: Queue, key: str, n: int) -> dict[str, object]:
    made: dict[str, object] = await queue.ask(
        "POST", "/v1/deployments", 201, json=body(n, str(n)), headers={"Idempotency-Key": key}
    )
    return made


async def test_without_its_master_key_a_backup_is_refused(
    rollbook: Running, home: Place, elsewhere: MakePlace, tmp_path: Path
) -> None:
    await fill(Queue(rollbook.client), 2)
    keyless = await home.take(tmp_path / "keyless.zip")
    place = elsewhere()
    before = place.everything()
    with pytest.raises(BackupRefused, match=r"^The master key of the backup is not here: set MASTER_KEY to it, or"):
        await place.restore(keyless.path)
    with pytest.raises(BackupRefused, match=r"^The backup was taken under another master key than the one here"):
        await place.restore(keyless.path, master_key=OTHER_KEY)
    assert place.everything() == before
    secret = (home.data_dir / "secrets" / "master.key").read_text()
    await place.restore(keyless.path, master_key=secret)
    assert place.truth() == home.truth()
    assert not (place.data_dir / "secrets" / "master.key").exists(), "MASTER_KEY is told, so it is not written down"


async def test_a_key_inside_is_kept_for_the_processes(
    rollbook: Running, home: Place, elsewhere: MakePlace, tmp_path: Path
) -> None:
    await fill(Queue(rollbook.client), 2)
    taken = await home.take(tmp_path / "b.zip", with_key=True)
    place = elsewhere()
    await place.restore(taken.path)
    kept = place.data_dir / "secrets" / "master.key"
    assert kept.read_bytes() == (home.data_dir / "secrets" / "master.key").read_bytes()
    assert kept.stat().st_mode & 0o777 == 0o600


async def test_who_lost_the_master_key_can_go_on_without_names(
    rollbook: Running, home: Place, elsewhere: MakePlace, tmp_path: Path
) -> None:
    await fill(Queue(rollbook.client), 2)
    keyless = await home.take(tmp_path / "keyless.zip")
    place = elsewhere()
    await place.restore(keyless.path, Wish(forget_people=True))
    async with running_rollbook(place.settings(), place.database) as again:
        queue = Queue(again.client)
        own = (await queue.create("9"))["created_by_actor"]
        actors = [one["created_by_actor"] for one in await queue.ask("GET", ALL)]
    assert actors == [own, "erased", "erased"]
    assert own != "erased"


async def test_tokens_that_were_revoked_since_are_told(rollbook: Running, home: Place, tmp_path: Path) -> None:
    queue = Queue(rollbook.client)
    early, late, kept = [
        await queue.ask("POST", "/v1/tokens", 201, json={"name": name, "role": "viewer"})
        for name in ("early", "late", "kept")
    ]
    await queue.ask("DELETE", f"/v1/tokens/{early['id']}")
    taken = await home.take(tmp_path / "b.zip")
    await queue.ask("DELETE", f"/v1/tokens/{late['id']}")
    _, done = await home.restore(taken.path, OVER)
    assert done.valid_again == [Token("acme", late["id"])]
    assert kept["id"] not in str(done)
