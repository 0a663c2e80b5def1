"""Where the demonstration is played: the real commands, a clock that is set, and a log in memory."""

from collections.abc import Mapping
from datetime import datetime
from random import Random
from typing import Any
from uuid import UUID

from adapters.postgres.ledger import Ledger
from application.caller import Origin
from application.execution import AggregateCache, Executor, Handler
from application.ports.event_store import Actor, Circumstances

FOREVER = 10_000_000


class Stage(Executor):
    """Carries out what people do, each thing at its moment. `chance` makes everything that is not a secret."""

    def __init__(self, organisation: str, people: Mapping[str, Actor], chance: Random, now: datetime) -> None:
        self.organisation = organisation
        self.people = people
        self.chance = chance
        self.now = now
        self.ledger = Ledger(lambda: self.now, self.event_id)
        super().__init__(self.ledger, lambda: self.now, AggregateCache(FOREVER))

    async def perform(self, at: datetime, login: str, handler: Handler, command: Any, origin: Origin) -> str:
        """One command; answers what it made or changed. Refusals are raised as anywhere."""
        self.now = max(at, self.now)
        trace, span = self.chance.getrandbits(128) or 1, self.chance.getrandbits(64) or 1
        circumstances = Circumstances(
            actor=self.people[login],
            origin=origin.facts(),
            occurred_at=self.now,
            correlation_id=f"{trace:032x}",
            traceparent=f"00-{trace:032x}-{span:016x}-01",
        )
        appended = await self.execute(self.organisation, circumstances, handler, command)
        return appended.resource

    def new_id(self) -> UUID:
        """An id of version 4."""
        return UUID(int=self.chance.getrandbits(128), version=4)

    def event_id(self, at: datetime) -> UUID:
        """An id of version 7, of this moment."""
        milliseconds = int(at.timestamp() * 1000)
        rest = self.chance.getrandbits(80)
        value = milliseconds << 80 | rest
        value = value & ~(0xF << 76) | 7 << 76
        return UUID(int=value & ~(3 << 62) | 2 << 62)
