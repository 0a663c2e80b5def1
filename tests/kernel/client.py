"""A client of the append function that writes SQL by hand, and the log as a superuser sees it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import psycopg

STATEMENT = """
select outcome, last_position, at, first_status, first_resource from rollbook.append(
    %s::text[], %s::int4[], %s::int4[],
    %s::uuid[], %s::text[], %s::int4[], %s::text[], %s::int4[], %s::bytea[], %s::bytea[],
    %s::int4[], %s::text[], %s::int4[], %s::int4[], %s::text[], %s::text[], %s::bool[],
    %s::uuid[], %s::bytea[], %s::int4[], %s::text[])
"""


@dataclass
class Attempt:
    """One commit: events as (stream, version), and what must hold for it."""

    events: list[tuple[str, int]]
    organisation: str | None = "acme"
    guards: dict[str, int] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    released: tuple[str, ...] = ()
    command_id: UUID | None = None
    digest: bytes = b"digest"
    envelope: bytes = b'{"a":1}'
    topic: str = "lane.released"
    ids: list[UUID] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ids = self.ids or [uuid4() for _ in self.events]


def parameters(attempts: Sequence[Attempt]) -> list[list[Any]]:
    """The arrays of one call."""
    numbered = list(enumerate(attempts, 1))
    lasts = [sum(len(a.events) for a in attempts[:n]) for n in range(1, len(attempts) + 1)]
    events = [(i, *event, a) for a in attempts for i, event in zip(a.ids, a.events, strict=True)]
    guards = [(n, s, v) for n, a in numbered for s, v in a.guards.items()]
    keys = [(n, k, s, True) for n, a in numbered for k, s in a.taken.items()]
    keys += [(n, k, "", False) for n, a in numbered for k in a.released]
    return [
        [a.organisation for a in attempts],
        [last - len(a.events) + 1 for last, a in zip(lasts, attempts, strict=True)],
        lasts,
        [i for i, *_ in events],
        [s for _, s, _, _ in events],
        [v for _, _, v, _ in events],
        [a.topic for *_, a in events],
        [1] * len(events),
        [a.envelope for *_, a in events],
        [b"{}"] * len(events),
        *([row[n] for row in guards] for n in range(3)),
        *([row[n] for row in keys] for n in range(4)),
        [a.command_id for a in attempts],
        [a.digest for a in attempts],
        [201 for _ in attempts],
        [f"resource {n}" for n, _ in numbered],
    ]


def append(connection: psycopg.Connection[Any], *attempts: Attempt) -> list[tuple[Any, ...]]:
    """What came of each commit."""
    return connection.execute(STATEMENT, parameters(attempts)).fetchall()


def outcomes(connection: psycopg.Connection[Any], *attempts: Attempt) -> list[str]:
    """What came of each commit, in a word."""
    return [row[0] for row in append(connection, *attempts)]


def everything(admin_url: str) -> dict[str, list[Any]]:
    """All that an append may change."""
    tables = ("events", "taken_keys", "commands")
    with psycopg.connect(admin_url) as admin:
        return {t: admin.execute(f"select * from rollbook.{t} order by 1, 2".encode()).fetchall() for t in tables}
