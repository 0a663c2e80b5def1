"""Whatever somebody with every right does to the log, the verifier says so, and where."""

import pytest

from entrypoints.verify.rollbook_verify import Verdict, add_link
from tests.audit.conftest import Log, Sealed
from tests.conftest import Database

EDITED = "set payload = convert_to(replace(convert_from(payload, 'utf8'), 'production', 'staging'), 'utf8')"
REWRITTEN = """
do $$
declare one record; before bytea;
begin
    before := decode(repeat('00', 32), 'hex');
    update rollbook.events set payload = convert_to('{}', 'utf8')
     where organisation = 'acme' and sequence = 2;
    for one in select * from rollbook.events where organisation = 'acme' order by sequence loop
        update rollbook.events set previous_hash = before,
               hash = sha256(before || sha256(one.envelope) || sha256(one.payload)) where position = one.position
         returning hash into before;
    end loop;
end $$
"""
FORGOTTEN = "truncate rollbook.checkpoint_heads, rollbook.sealed_checkpoints;"
CUT = "delete from rollbook.events where position > (select max(position) - 3 from rollbook.events)"
TAMPERED = {
    "an edited payload": (f"update rollbook.events {EDITED} where position = 3", 1, "position 3"),
    "an edited column": ("update rollbook.events set topic = 'lane.released' where position = 4", 1, "position 4"),
    "an edited envelope": (
        "update rollbook.events set envelope = replace(convert_from(envelope, 'utf8'), 'id', 'no')::bytea"
        " where position = 6",
        1,
        "position 6",
    ),
    "an envelope of nothing, with its right hash": (
        """update rollbook.events
              set envelope = 'x', hash = sha256(previous_hash || sha256('x'::bytea) || sha256(payload))
            where position = 6""",
        1,
        "position 6",
    ),
    "an edited hash": ("update rollbook.events set hash = sha256(hash) where position = 5", 1, "position 5"),
    "a deleted event": ("delete from rollbook.events where position = 4", 3, "position 4"),
    "an inserted event": (
        """insert into rollbook.events select 1000, 1000, gen_random_uuid(), stream_id, version, topic, schema_version,
                  organisation, 1000, recorded_at, envelope, payload, previous_hash, hash
             from rollbook.events where position = 2""",
        1,
        "position 1000",
    ),
    "two events in each other's place": (
        """update rollbook.events set position = 9000000 where position = 3;
           update rollbook.events set position = 3 where position = 4;
           update rollbook.events set position = 4 where position = 9000000""",
        1,
        "position 3",
    ),
    "two events whose contents changed places": (
        """update rollbook.events e set envelope = o.envelope, payload = o.payload, hash = o.hash
             from rollbook.events o where e.position in (3, 4) and o.position = 7 - e.position""",
        1,
        "position 3",
    ),
    "a chain made anew": (REWRITTEN, 2, "Checkpoint 1 sealed another event of acme"),
    "a chain made anew without its checkpoints": (FORGOTTEN + REWRITTEN, 2, "Checkpoint 1"),
    "an end that was cut off": (CUT, 2, "Truncated behind position"),
    "an end that was cut off with its checkpoints": (FORGOTTEN + CUT, 2, "Truncated behind position"),
    "everything taken away": (FORGOTTEN + "truncate rollbook.events", 2, "Truncated behind position 0"),
    "a checkpoint put in another's place": (
        "update rollbook.sealed_checkpoints set text = replace(text, '\"number\": 2', '\"number\": 3')"
        " where number = 2",
        2,
        "not signed",
    ),
    "a sealed head that was edited, which the file tells as it was": (
        "update rollbook.checkpoint_heads set leaf = replace(leaf, 'acme', 'emca')",
        0,
        "Intact",
    ),
}


def test_a_log_that_nobody_touched_is_intact(log: Log) -> None:
    code, said = log.verify_apart("--key", log.key)
    assert (code, "Intact" in said, "2 checkpoints" in said) == (0, True, True), said


@pytest.mark.parametrize(("statement", "code", "where"), TAMPERED.values(), ids=TAMPERED)
def test_every_tampering_has_its_exit_code(log: Log, statement: str, code: int, where: str) -> None:
    log.tamper(statement)
    found, said = log.verify()
    assert (found, where in said) == (code, True), said


def test_a_checkpoint_that_another_key_signed_is_none(log: Log) -> None:
    code, said = log.verify(key=["A" * 43 + "="])
    assert (code, "not signed" in said) == (2, True), said


def test_a_checkpoint_that_was_edited_is_none(log: Log) -> None:
    log.checkpoints.write_text(log.checkpoints.read_text().replace('\\"position\\": ', '\\"position\\": 1', 1))
    assert log.verify()[0] == 2


def test_a_checkpoint_that_is_missing_is_missed(log: Log) -> None:
    first, second = log.checkpoints.read_text().splitlines(keepends=True)
    log.checkpoints.write_text(second)
    assert log.verify()[0] == 0, "the first one may be any"
    log.checkpoints.write_text(first + second + first + second)
    assert log.verify()[0] == 0, "what was told twice was told once"


async def test_a_checkpoint_that_was_left_out_is_missed(sealed: Sealed) -> None:
    for _ in range(3):
        await sealed.grow(2)
    log = await sealed.export()
    first, _, third = log.checkpoints.read_text().splitlines(keepends=True)
    log.checkpoints.write_text(first + third)
    assert log.verify() == (2, "Checkpoint 3 does not follow the one before it")


async def test_what_a_restore_gave_up_is_said_to_be_of_a_lost_epoch(sealed: Sealed) -> None:
    await sealed.grow(2)
    log = await sealed.export()
    log.tamper("create table kept as select * from rollbook.events")
    await sealed.grow(4)
    log = await sealed.export()
    log.tamper("""
        delete from rollbook.events where position > (select max(position) from kept);
        delete from rollbook.checkpoint_heads where number > 1;
        delete from rollbook.sealed_checkpoints where number > 1;
        update rollbook.identity set epoch = epoch + 1""")
    assert log.verify()[0] == 2, "before the new epoch is sealed nothing tells a restore from a cut"
    await sealed.grow(2)
    code, said = log.verify()
    assert (code, "checkpoints 2 to 2 are of a lost epoch" in said) == (0, True), said
    code, said = (await sealed.export()).verify()
    assert (code, "checkpoints 2 to 2 are of a lost epoch" in said) == (0, True), said


def test_another_checkpoint_in_the_place_of_one_is_none_without_a_new_epoch() -> None:
    told = {"number": 1, "epoch": 1, "previous": "0" * 64}
    live: dict[str, tuple[int, int]] = {}
    add_link(live, {}, {**told, "name": "a"})
    with pytest.raises(Verdict, match="stand in each other's place"):
        add_link(live, {}, {**told, "name": "b"})


def test_who_does_not_see_the_whole_log_is_told_so(log: Log, database: Database) -> None:
    code, said = Log(database.app_url, log.checkpoints, log.key).verify()
    assert (code, "Cannot be read" in said) == (4, True), said


def test_what_cannot_be_read_is_said_so(log: Log) -> None:
    log.checkpoints.write_text("{}\n")
    assert log.verify()[0] == 4
