"""The queue of jobs on JetStream: each message offers one job to one worker, until that worker takes it off."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from time import monotonic
from typing import Any
from uuid import UUID

import nats
import nats.errors
import orjson
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from adapters.nats.subjects import token
from application.ports.job_queue import WaitingJob

log = structlog.get_logger()

NAME = "ROLLBOOK_JOBS"
SUBJECT = "rollbook-jobs"
# Workers look in this order; a priority from 0 to 9 belongs to the first whose floor it reaches.
CLASSES = (("high", 7), ("normal", 3), ("low", 0))
SUBJECTS = frozenset(f"{SUBJECT}.{name}" for name, _ in CLASSES)
LIVE = "rollbook-live"
LOOK_EVERYWHERE_SECONDS = 1.0
SILENCE_SECONDS = 30.0
DOUBLES_SECONDS = 120.0
CONNECT_SECONDS = 2
TROUBLES = (nats.errors.Error, JetStreamError, OSError, TimeoutError)
NEXT = f"$JS.API.CONSUMER.MSG.NEXT.{NAME}"
TOGETHER = 256


@dataclass(frozen=True, slots=True)
class JetStreamOffer:
    """See the port."""

    job: WaitingJob
    message: Msg
    client: Client

    async def keep(self) -> None:
        await self.message.in_progress()

    async def settle(self) -> None:
        await self.message.ack()

    async def give_back(self, seconds: float) -> None:
        await self.message.nak(delay=seconds)

    async def tell(self, facts: Mapping[str, Any]) -> None:
        if self.client.is_connected:
            told = {"job_id": str(self.job.job_id), "at": datetime.now(UTC), **facts}
            await self.client.publish(live_subject(self.job), orjson.dumps(told))


@dataclass(frozen=True, slots=True)
class QueueState:
    """Which queue this is, as far as one that was never left can be told from others, and how many offers it holds."""

    identity: str
    offers: int


class JetStreamJobs:
    """See the port."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client: Client | None = None
        self.jetstream: JetStreamContext
        self.answers: Subscription | None = None
        self.inbox = ""
        self.numbers = count()
        self.came = asyncio.Event()
        self.connections = 0
        # Where something may be, as far as we know.
        self.full, self.looked = set(SUBJECTS), float("-inf")

    async def open(self) -> None:
        """Connects, and makes the stream and its consumers where they are missing; raises nats.errors.Error."""
        if self.client is not None and self.client.is_connected and self.answers is not None:
            return
        await self.close()
        self.client = await nats.connect(
            self.url.split(","),
            name="rollbook-jobs",
            connect_timeout=CONNECT_SECONDS,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            error_cb=quiet,
        )
        self.connections += 1
        self.jetstream = self.client.jetstream(timeout=CONNECT_SECONDS)
        await self.prepare()
        await self.client.subscribe(f"{SUBJECT}.*", cb=self.wake)
        self.inbox = self.client.new_inbox()
        self.answers = await self.client.subscribe(f"{self.inbox}.*")

    async def prepare(self) -> None:
        """Makes what is missing on the server."""
        try:
            await self.jetstream.stream_info(NAME)
        except NotFoundError:
            await self.jetstream.add_stream(
                StreamConfig(
                    name=NAME,
                    subjects=[f"{SUBJECT}.*"],
                    retention=RetentionPolicy.WORK_QUEUE,
                    storage=StorageType.FILE,
                    duplicate_window=DOUBLES_SECONDS,
                )
            )
            log.info("jobs.queue_made", stream=NAME)
        for name, _ in CLASSES:
            config = ConsumerConfig(
                durable_name=name,
                filter_subject=f"{SUBJECT}.{name}",
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=SILENCE_SECONDS,
                max_ack_pending=-1,
            )
            await self.jetstream.add_consumer(NAME, config)

    async def state(self) -> QueueState:
        """What has become of the queue; makes it where it is gone. What waits must be put into another one again."""
        await self.open()
        try:
            info = await self.jetstream.stream_info(NAME)
        except NotFoundError:
            await self.prepare()
            info = await self.jetstream.stream_info(NAME)
        return QueueState(f"{self.connections} {info.created}", info.state.messages)

    async def wake(self, message: Msg) -> None:
        """Something was put."""
        self.full.add(message.subject)
        self.came.set()

    async def put(self, jobs: Sequence[WaitingJob]) -> None:
        await self.open()
        for first in range(0, len(jobs), TOGETHER):
            await asyncio.gather(*(self.publish(job) for job in jobs[first : first + TOGETHER]))

    async def publish(self, job: WaitingJob) -> None:
        """One offer, under an id that keeps out its double."""
        facts = (job.organisation, job.job_id, job.priority, job.version, job.correlation_id, job.traceparent)
        body = orjson.dumps(facts)
        headers = {"Nats-Msg-Id": f"{job.job_id}:{job.version}"}
        await self.jetstream.publish(f"{SUBJECT}.{class_of(job.priority)}", body, stream=NAME, headers=headers)

    async def take(self, most: int, seconds: float) -> Sequence[JetStreamOffer]:
        await self.open()
        self.came.clear()
        if not (offers := await self.look(most)):
            with suppress(TimeoutError):
                await asyncio.wait_for(self.came.wait(), seconds)
                return await self.look(most)
            # What is offered again is announced by nobody.
            self.full = set(SUBJECTS)
            offers = await self.look(most)
        return offers

    async def look(self, most: int) -> list[JetStreamOffer]:
        """What is there now, the higher classes first."""
        offers: list[JetStreamOffer] = []
        if monotonic() - self.looked > LOOK_EVERYWHERE_SECONDS:
            self.full, self.looked = set(SUBJECTS), monotonic()
        for name, _ in CLASSES:
            if len(offers) < most and (subject := f"{SUBJECT}.{name}") in self.full:
                self.full.discard(subject)
                found = await self.fetch(name, wanted := most - len(offers))
                if len(found) == wanted:
                    self.full.add(subject)
                offers += found
        return offers

    async def fetch(self, name: str, most: int) -> list[JetStreamOffer]:
        """Offers of one class, without waiting for any to come."""
        assert self.client is not None
        assert self.answers is not None
        mine, offers = f"{self.inbox}.{next(self.numbers)}", list[JetStreamOffer]()
        await self.client.publish(f"{NEXT}.{name}", orjson.dumps({"batch": most, "no_wait": True}), reply=mine)
        while len(offers) < most:
            message = await self.answers.next_msg(timeout=CONNECT_SECONDS)
            if message.headers and "Status" in message.headers:
                break
            offers.append(JetStreamOffer(job_of(message.data), message, self.client))
        return offers

    async def close(self) -> None:
        """Lets go of the connection."""
        client, self.client, self.answers = self.client, None, None
        if client is not None:
            with suppress(TimeoutError, OSError, nats.errors.Error, JetStreamError):
                await asyncio.wait_for(client.close(), CONNECT_SECONDS)


def live_subject(job: WaitingJob) -> str:
    """Where the progress of a job is told, on core NATS: whoever listens hears it, and nothing keeps it."""
    return f"{LIVE}.{token(job.organisation)}.job.{job.job_id}"


def class_of(priority: int) -> str:
    """The class of a priority."""
    return next(name for name, floor in CLASSES if priority >= floor)


def job_of(body: bytes) -> WaitingJob:
    """The job that a message offers."""
    organisation, job_id, *facts = orjson.loads(body)
    return WaitingJob(organisation, UUID(job_id), *facts)


async def quiet(problem: Exception) -> None:
    """The client would write what goes wrong to the log by itself."""
    log.debug("nats.error", error=type(problem).__name__)
