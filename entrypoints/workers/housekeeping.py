"""What must be done now and then: ending silent claims, forgetting old keys, dropping older releases' tables."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import psycopg
import structlog

from adapters.postgres.retirement import retire
from adapters.reachability import in_words
from adapters.tracing import linked_span, trace_id, traceparent_of
from application.caller import Origin
from application.claims import LapseClaim, lapse_claim
from application.ports.event_store import Circumstances
from domain.errors import RollbookError
from domain.recorded import RecordedEvent
from entrypoints.composition import Rollbook
from projections.registry import READ_MODELS

log = structlog.get_logger()
EVERY_SECONDS = 1.0
FORGET_EVERY_ROUNDS = 600
RETIRE_EVERY_ROUNDS = 10
ACTOR = "rollbook"


class Housekeeping:
    """Any number may run: what another has done already is refused by the domain."""

    def __init__(self, rollbook: Rollbook) -> None:
        self.rollbook = rollbook
        self.problem = ""

    async def run(self, stop: asyncio.Event) -> None:
        """A round every second until told to stop; what fails is tried again in the next, and said once."""
        for number in count():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), EVERY_SECONDS)
            if stop.is_set():
                return
            problem = ""
            try:
                await self.round(number)
            except (RollbookError, psycopg.Error) as fault:
                problem = in_words(fault)
            if problem and problem != self.problem:
                log.warning("housekeeping.interrupted", problem=problem)
            self.problem = problem

    async def round(self, number: int) -> None:
        """Silent claims each time, the rest now and then."""
        await self.end_silent_claims()
        if number % FORGET_EVERY_ROUNDS == 0:
            await self.forget_commands()
        if number % RETIRE_EVERY_ROUNDS == 0:
            await retire(self.rollbook.pools, READ_MODELS, self.rollbook.settings.keep_old_read_models_seconds)

    async def end_silent_claims(self) -> None:
        """Puts deployments back into their queue whose lease ran out, by the clock that leases are given by."""
        now = self.rollbook.executor.clock()
        for organisation, deployment_id, fence in await self.rollbook.leases.overdue(now):
            if await self.rollbook.leases.end_if_over(organisation, deployment_id, fence, now):
                await self.lapse(organisation, deployment_id, fence)

    async def lapse(self, organisation: str, deployment_id: UUID, fence: int) -> None:
        """Ends one claim; an outcome that came in between stands."""
        command = LapseClaim(str(deployment_id), fence)
        try:
            claim = await self.claim(organisation, deployment_id)
            with linked_span("policy lapse_claim", [claim.envelope["cause"]["traceparent"]] if claim else []):
                circumstances = await self.circumstances(organisation, claim)
                await self.rollbook.executor.execute(organisation, circumstances, lapse_claim, command)
        except RollbookError as refusal:
            log.info("claim.stands", deployment_id=str(deployment_id), code=refusal.code)

    async def claim(self, organisation: str, deployment_id: UUID) -> RecordedEvent | None:
        """The newest claim of a deployment."""
        events = await self.rollbook.store.history(organisation, f"deployment-{deployment_id}")
        return next((event for event in reversed(events) if event.topic == "deployment.claimed"), None)

    async def circumstances(self, organisation: str, cause: RecordedEvent | None) -> Circumstances:
        """Rollbook itself acts, in a trace of its own, because of an event."""
        traceparent = traceparent_of(None)
        return Circumstances(
            actor=await self.rollbook.people.actor(organisation, ACTOR),
            origin=Origin(interface="housekeeping").facts(),
            occurred_at=datetime.now(UTC),
            correlation_id=cause.envelope["cause"]["correlation_id"] if cause else trace_id(traceparent),
            causation_id=str(cause.event_id) if cause else None,
            traceparent=traceparent,
        )

    async def forget_commands(self) -> None:
        """Idempotency keys are kept for 7 days."""
        async with self.rollbook.pools.writer.connection() as connection:
            await connection.execute("delete from rollbook.commands where recorded_at < now() - interval '7 days'")
