"""A person can be forgotten: the key goes, and the login is nowhere."""

from datetime import UTC, datetime

import psycopg

from application.deployments import schedule_deployment
from application.ports.event_store import Circumstances
from tests.conftest import Database, Running
from tests.kernel.test_append import schedule
from tests.queue.conftest import Queue

LOGIN = "canary-octocat-4711"


async def test_a_forgotten_person_is_found_nowhere(rollbook: Running, database: Database) -> None:
    people = rollbook.app.people
    actor = await people.actor("acme", LOGIN)
    assert await people.actor("acme", LOGIN.upper()) == actor
    circumstances = Circumstances(actor, {}, datetime.now(UTC), "0" * 32)
    await rollbook.app.executor.execute("acme", circumstances, schedule_deployment, schedule())
    queue = Queue(rollbook.client)
    assert [d["created_by_actor"] for d in await queue.ask("GET", "/v1/deployments")] == [LOGIN]
    assert (await people.logins_of("acme", [str(actor.id)])) == {str(actor.id): LOGIN}
    people.logins.clear()
    assert (await people.logins_of("acme", [str(actor.id)])) == {str(actor.id): LOGIN}
    assert await people.erase("acme", actor.id)
    assert (await people.logins_of("acme", [str(actor.id)])) == {str(actor.id): "erased"}
    assert [d["created_by_actor"] for d in await queue.ask("GET", "/v1/deployments")] == ["erased"]
    held = everything(database)
    assert actor.sealed_login.encode() in held, "the event is there, and closed for ever"
    assert LOGIN.encode() not in held
    assert not await people.erase("acme", actor.id)


def everything(database: Database) -> bytes:
    """Every row of every table, as text and with its bytes readable."""
    found = b""
    with psycopg.connect(database.admin_url) as admin:
        query = "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname like 'rollbook%'"
        for (name,) in admin.execute(query).fetchall():
            for (row,) in admin.execute(f"select row_to_json(t)::text from {name} t".encode()).fetchall():
                found += row.encode() + b"".join(unescaped(row))
    return found


def unescaped(row: str) -> list[bytes]:
    """The bytea values of a row, which are written in hexadecimal."""
    return [bytes.fromhex(part.split('"')[0]) for part in row.split('"\\\\x')[1:]]
