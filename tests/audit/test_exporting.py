"""What is sealed gets to where the settings say: in order, once a place takes it, and each program on its own terms."""

import asyncio
import json
import sys
from pathlib import Path

import nats
import pytest

from adapters.checkpoint_choosing import environment, sealer_of
from adapters.checkpoint_exports import CheckpointExport, CommandExport, ExportFailed, FileExport
from adapters.embedded.nats import EmbeddedNats
from adapters.nats.checkpoints import NAME, SUBJECT, FeedExport
from adapters.postgres.checkpoint_cursors import Told, tell_in_order
from tests.audit.conftest import Log, Sealed
from tests.conftest import settings_for

COPY = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"


def numbers(path: Path) -> list[int]:
    """Of the checkpoints in a file."""
    return [json.loads(json.loads(line)["checkpoint"])["number"] for line in path.read_text().splitlines()]


async def tell(sealed: Sealed, export: CheckpointExport) -> Told:
    return await tell_in_order(sealed.kernel.pools, export)


async def test_a_file_gets_each_checkpoint_once_and_verifies_the_log(sealed: Sealed, tmp_path: Path) -> None:
    export = FileExport(tmp_path / "kept.ndjson")
    for _ in range(2):
        await sealed.grow(4)
        assert await tell(sealed, export) == await tell(sealed, export) == Told(left=0)
    assert numbers(export.path) == [1, 2]
    assert Log(sealed.url, export.path, sealed.public).verify()[0] == 0


async def test_what_a_crash_left_half_written_is_written_whole(sealed: Sealed, tmp_path: Path) -> None:
    export = FileExport(tmp_path / "kept.ndjson")
    await sealed.grow(2)
    await tell(sealed, export)
    with export.path.open("a") as file:
        file.write('{"checkpoint": "half' * 5000)
    await sealed.grow(2)
    await tell(sealed, export)
    assert numbers(export.path) == [1, 2]


async def test_what_a_place_did_not_take_it_is_told_later_in_order(sealed: Sealed, tmp_path: Path) -> None:
    export = FileExport(tmp_path / "missing" / "kept.ndjson")
    for _ in range(3):
        await sealed.grow(2)
        assert (await tell(sealed, export)).problem == "FileNotFoundError: No such file or directory"
    export.path.parent.mkdir()
    assert await tell(sealed, export) == Told(left=0)
    assert numbers(export.path) == [1, 2, 3]


async def test_two_processes_do_not_tell_the_same_place_at_once(sealed: Sealed, tmp_path: Path) -> None:
    export = FileExport(tmp_path / "kept.ndjson")
    await sealed.grow(2)
    await sealed.grow(2)
    await asyncio.gather(tell(sealed, export), tell(sealed, export))
    assert numbers(export.path) == [1, 2]


async def test_a_command_gets_a_checkpoint_on_its_standard_input(sealed: Sealed, tmp_path: Path) -> None:
    kept = tmp_path / "a place; with $(words)"
    await sealed.grow(2)
    assert await tell(sealed, CommandExport([sys.executable, "-c", COPY, str(kept)], {})) == Told(left=0)
    assert numbers(kept) == [1]


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ([sys.executable, "-c", "raise SystemExit(3)"], "it ended with 3"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], "it did not end within 0.2 s"),
        (["/nowhere/at/all"], "FileNotFoundError"),
    ],
)
async def test_a_command_that_fails_is_tried_again_and_holds_up_nothing(command: list[str], problem: str) -> None:
    with pytest.raises(ExportFailed, match=problem):
        await CommandExport(command, {}, seconds=0.2).tell("{}")


def test_a_command_finds_none_of_our_secrets_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "MASTER_KEY", "CHECKPOINT_KEY", "SIGNING_KEY", "ITS_OWN"):
        monkeypatch.setenv(name, "secret")
    found = environment()
    assert [name for name in found if found[name] == "secret"] == ["ITS_OWN"]


async def test_the_feed_tells_what_was_signed_and_names_no_organisation(
    sealed: Sealed, nats_server: EmbeddedNats
) -> None:
    export = FeedExport(nats_server.url)
    await sealed.grow(2)
    assert await tell(sealed, export) == Told(left=0)
    client = await nats.connect(nats_server.url)
    message = await client.jetstream().get_last_msg(NAME, SUBJECT)
    assert message.data is not None
    told = json.loads(message.data)
    line = (await sealed.export()).checkpoints.read_text().splitlines()[0]
    assert told == json.loads(line) | {"heads": []}
    assert b"acme" not in message.data
    await client.close()
    await export.close()


async def test_without_a_server_the_feed_is_told_later() -> None:
    with pytest.raises(ExportFailed):
        await FeedExport("nats://127.0.0.1:1").tell("{}")


async def test_a_key_of_our_own_is_made_once_and_nobody_else_reads_it(sealed: Sealed, tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    first, second = (sealer_of(settings, sealed.kernel.pools) for _ in range(2))
    assert first.public_key == second.public_key
    assert (settings.data_dir / "secrets" / "checkpoint.key").stat().st_mode & 0o777 == 0o600


async def test_a_configured_key_seals(sealed: Sealed, tmp_path: Path) -> None:
    settings = settings_for(tmp_path, checkpoint_key="A" * 43 + "=")
    assert sealer_of(settings, sealed.kernel.pools).public_key == "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik="
