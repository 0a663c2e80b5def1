"""Tells the NATS feed of checkpoints, in a stream of their own, without the heads that name organisations."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256

import nats
import nats.errors
from nats.aio.client import Client
from nats.js.api import StorageType, StreamConfig
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from adapters.checkpoint_exports import ExportFailed

NAME = "ROLLBOOK_CHECKPOINTS"
SUBJECT = "rollbook-checkpoints"
CONNECT_SECONDS = 2
MOST = 1_000_000
TROUBLES = (nats.errors.Error, JetStreamError, OSError, TimeoutError)


@dataclass(slots=True)
class FeedExport:
    """Whoever follows the feed keeps what was signed, and has it where nobody here changes it."""

    url: str = field(repr=False)
    client: Client | None = None

    kind = "nats"
    name = "nats"

    async def tell(self, line: str) -> None:
        """See CheckpointExport."""
        body = json.dumps(json.loads(line) | {"heads": []}, ensure_ascii=False).encode()
        try:
            client = await self.open()
            headers = {"Nats-Msg-Id": sha256(body).hexdigest()}
            await client.jetstream(timeout=CONNECT_SECONDS).publish(SUBJECT, body, stream=NAME, headers=headers)
        except TROUBLES as problem:
            await self.close()
            raise ExportFailed(type(problem).__name__) from None

    async def open(self) -> Client:
        """Connects, and makes the stream where it is missing."""
        if self.client is not None and self.client.is_connected:
            return self.client
        await self.close()
        self.client = await nats.connect(
            self.url.split(","),
            name="rollbook-checkpoints",
            connect_timeout=CONNECT_SECONDS,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            error_cb=quiet,
        )
        await self.prepare(self.client)
        return self.client

    async def prepare(self, client: Client) -> None:
        """Makes the stream."""
        jetstream = client.jetstream(timeout=CONNECT_SECONDS)
        try:
            await jetstream.stream_info(NAME)
        except NotFoundError:
            config = StreamConfig(name=NAME, subjects=[SUBJECT], storage=StorageType.FILE, max_msgs=MOST)
            await jetstream.add_stream(config.evolve(deny_delete=True))

    async def close(self) -> None:
        """Lets go of the connection."""
        client, self.client = self.client, None
        if client is not None:
            with suppress(*TROUBLES):
                await asyncio.wait_for(client.close(), CONNECT_SECONDS)


async def quiet(_: Exception) -> None:
    """Whatever is wrong is raised where it matters."""
