"""Delivers to webhooks: whoever takes one sends it what is due, in order, and writes down what came of it."""

import asyncio
from contextlib import suppress
from random import random

import psycopg
import structlog

from adapters import metrics
from adapters.failpoints import failpoint
from adapters.postgres.webhook_deliveries import Due, Taken
from adapters.reachability import in_words
from adapters.webhooks.bodies import body_of
from adapters.webhooks.posting import Outcome
from adapters.webhooks.sending import UNREADABLE, Line
from application.webhook_retries import Patience, delay, is_over, rest
from application.webhooks import PauseWebhook, pause_webhook
from domain.errors import RollbookError
from domain.recorded import RecordedEvent
from entrypoints.composition import Rollbook
from entrypoints.workers.acting import circumstances

log = structlog.get_logger()
POLL_SECONDS = 0.5
PAUSE_SECONDS = 1.0
DRAIN_SECONDS = 5.0
GONE = 410
LOST = Outcome(None, UNREADABLE, 0)
MISSING = Outcome(None, "the event is not in the log any more", 0)
SECONDS_A_DAY = 86_400


class WebhookDelivery:
    """Any number may run, each with so many webhooks at once. Who stops in the midst sends again what was under way."""

    def __init__(self, rollbook: Rollbook) -> None:
        self.rollbook = rollbook
        self.deliveries = rollbook.webhooks.deliveries
        self.sending = rollbook.webhooks.sending
        settings = rollbook.settings
        self.most = settings.webhook_concurrency
        self.patience = Patience(settings.webhook_retry_hours, settings.webhook_pause_days)
        self.under_way: set[asyncio.Task[None]] = set()
        self.stop = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Goes on until told to stop; what is under way then is ended, or cut off for another to send again."""
        self.stop = stop
        try:
            while not stop.is_set():
                await self.round(stop)
            if self.under_way:
                await asyncio.wait(self.under_way, timeout=DRAIN_SECONDS)
        finally:
            for task in self.under_way:
                task.cancel()
            await asyncio.gather(*self.under_way, return_exceptions=True)

    async def round(self, stop: asyncio.Event) -> None:
        """Takes one webhook, or waits until there may be one."""
        try:
            taken = await self.deliveries.take() if len(self.under_way) < self.most else None
        except (RollbookError, psycopg.Error) as problem:
            log.warning("webhooks.delivery_interrupted", problem=in_words(problem))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PAUSE_SECONDS)
            return
        if taken is None:
            return await self.rollbook.webhooks.wait(POLL_SECONDS)
        task = asyncio.create_task(self.serve(taken))
        self.under_way.add(task)
        task.add_done_callback(self.served)

    def served(self, task: asyncio.Task[None]) -> None:
        """There is room for another."""
        self.under_way.discard(task)
        if not task.cancelled() and (fault := task.exception()):
            log.error("webhooks.delivery_failed", problem=type(fault).__name__)
        self.rollbook.webhooks.wake()

    async def serve(self, taken: Taken) -> None:
        """All that is due for one webhook, one after the other."""
        try:
            events = await self.events_of(taken)
            async with self.sending.line(taken.organisation, taken.webhook_id) as line:
                await self.deliver_all(taken, line, events)
            await self.deliveries.free(taken.webhook_id)
        except (RollbookError, psycopg.Error) as problem:
            log.warning("webhooks.delivery_interrupted", problem=in_words(problem))

    async def events_of(self, taken: Taken) -> dict[int, RecordedEvent]:
        """The events that are due, as they stand in the log."""
        positions = [due.position for due in taken.due]
        found = await self.rollbook.log.rows(
            "position = any(%s) and organisation = %s", [positions, taken.organisation]
        )
        return {event.position: event for event in found}

    async def deliver_all(self, taken: Taken, line: Line | None, events: dict[int, RecordedEvent]) -> None:
        """Goes on behind a refusal, so that one event holds up no other; without any answer the rest waits too."""
        failures = taken.failures
        for due in taken.due:
            if self.stop.is_set():
                return
            failpoint("before_webhook_send")
            outcome = await self.send(line, due, events.get(due.position))
            failpoint("after_webhook_send")
            if outcome.ok:
                failures = 0
                await self.deliveries.succeeded(taken.webhook_id, due.delivery_id, outcome.status or 0)
                metrics.WEBHOOK_DELIVERIES.labels("delivered").inc()
                continue
            failures += 1
            if not await self.go_on_after(taken, due, outcome, failures):
                return

    async def send(self, line: Line | None, due: Due, event: RecordedEvent | None) -> Outcome:
        """One try."""
        if line is None:
            return LOST
        return await line.send(due.delivery_id, body_of(event, self.rollbook.identity[1])) if event else MISSING

    async def go_on_after(self, taken: Taken, due: Due, outcome: Outcome, failures: int) -> bool:
        """Writes down a failure; whether the next delivery makes sense."""
        again_in: float | None = delay(due.attempts + 1, random(), outcome.retry_after)
        if outcome is MISSING or is_over(due.age, again_in or 0, self.patience):
            again_in = None
        no_answer = outcome.status is None
        told = (outcome.status, outcome.problem or "")
        pause = rest(failures) if no_answer else 0.0
        failing = await self.deliveries.failed(
            taken.webhook_id, due.delivery_id, told, again_in, failures if no_answer else 0, pause
        )
        metrics.WEBHOOK_DELIVERIES.labels("dead" if again_in is None else "failed").inc()
        if rule := self.rule_to_pause(outcome, failing):
            await self.pause(taken, *rule)
            return False
        return not no_answer

    def rule_to_pause(self, outcome: Outcome, failing: float) -> tuple[str, str] | None:
        """Which rule ends this for now, and why."""
        if outcome.status == GONE:
            return "receiver-gone", "The receiver answered 410: it wants no more"
        if outcome.problem == UNREADABLE:
            return "address-unreadable", "The address cannot be opened any more"
        if failing > self.patience.pause_days * SECONDS_A_DAY:
            return "nothing-delivered", f"Nothing was delivered for {self.patience.pause_days:g} days"
        return None

    async def pause(self, taken: Taken, rule: str, reason: str) -> None:
        """Records that nothing more is sent; who was paused or removed meanwhile stays as they are."""
        around = await circumstances(self.rollbook, taken.organisation, "webhooks")
        command = PauseWebhook(str(taken.webhook_id), reason, rule)
        try:
            await self.rollbook.executor.execute(taken.organisation, around, pause_webhook, command)
        except RollbookError as refusal:
            log.info("webhook.not_paused", webhook_id=str(taken.webhook_id), code=refusal.code)
