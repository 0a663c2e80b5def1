"""Whatever somebody with every right does to the log, the verifier says so, and where."""

import pytest

from tests.audit.conftest import Log

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
TAMPERED = {
    "an edited payload": (f"update rollbook.events {EDITED} where position = 3", 1, "position 3"),
    "an edited column": ("update rollbook.events set topic = 'lane.released' where position = 4", 1, "position 4"),
    "an edited hash": ("update rollbook.events set hash = sha256(hash) where position = 5", 1, "position 5"),
    "a deleted event": ("delete from rollbook.events where position = 4", 3, "position 4"),
    "an inserted event": (
        """insert into rollbook.events select 1000, 1000, gen_random_uuid(), stream_id, version, topic, schema_version,
                  organisation, 1000, recorded_at, envelope, payload, previous_hash, hash
             from rollbook.events where position = 2""",
        1,
        "position",
    ),
    "two events in each other's place": (
        "update rollbook.events set position = case position when 3 then 10004 else 10003 end where position in (3, 4)",
        3,
        "position 3",
    ),
    "a chain made anew": (REWRITTEN, 2, "Checkpoint 1"),
    "an end that was cut off": (
        "delete from rollbook.events where position > (select max(position) - 3 from rollbook.events)",
        2,
        "Truncated",
    ),
}


def test_a_log_that_nobody_touched_is_intact(log: Log) -> None:
    code, said = log.verify("--key", log.key)
    assert (code, "Intact" in said, "2 checkpoints" in said) == (0, True, True), said


@pytest.mark.parametrize(("statement", "code", "where"), TAMPERED.values(), ids=TAMPERED)
def test_every_tampering_has_its_exit_code(log: Log, statement: str, code: int, where: str) -> None:
    log.tamper(statement)
    found, said = log.verify()
    assert (found, where in said) == (code, True), said


def test_a_checkpoint_that_another_key_signed_is_none(log: Log) -> None:
    code, said = log.verify("--key", "A" * 43 + "=")
    assert (code, "not signed" in said) == (2, True), said


def test_a_checkpoint_that_was_edited_is_none(log: Log) -> None:
    log.checkpoints.write_text(log.checkpoints.read_text().replace('\\"position\\": ', '\\"position\\": 1', 1))
    assert log.verify()[0] == 2


def test_a_checkpoint_that_is_missing_is_missed(log: Log) -> None:
    log.checkpoints.write_text("".join(log.checkpoints.read_text().splitlines(keepends=True)[1:]))
    assert log.verify()[0] == 0, "the first one may be any"
    log.checkpoints.write_text(log.checkpoints.read_text() * 2)
    assert log.verify()[0] == 2


def test_what_cannot_be_read_is_said_so(log: Log) -> None:
    log.checkpoints.write_text("{}\n")
    assert log.verify()[0] == 4
