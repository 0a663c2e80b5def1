"""A nats-server of our own, with JetStream: loopback, with a password, under DATA_DIR."""

import asyncio
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import nats
import nats.errors
import structlog

from adapters.embedded.folder import Door, Folder, refusals_in_words
from adapters.embedded.process import Child
from adapters.embedded.programs import NATS
from adapters.embedded.room import Room
from adapters.embedded.subscribers import FILE, subscribers_of
from adapters.embedded.user import NOBODY, is_root
from adapters.nats.subscribers import ACCOUNT, accounts, exports

log = structlog.get_logger()
USER = "rollbook"
MAX_PAYLOAD = 2 * 1024 * 1024
LOOK_SECONDS = 0.5
UNSTICK_SECONDS, MAX_UNSTICK_SECONDS = 2.0, 300.0


class EmbeddedNats:
    """Starts with its streams, or without any: what it holds can be made again from Postgres."""

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        self.folder = Folder(data_dir)
        self.wanted_port = port
        self.port = 0
        self.child: Child | None = None
        self.door: Door | None = None

    @property
    def url(self) -> str:
        """Connects with everything allowed."""
        return f"nats://{USER}:{self.folder.secret('nats')}@127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Returns when it answers; CannotStart says why it does not."""
        self.folder.hold("nats")
        try:
            home = self.folder.own("nats")
            self.door = Door(home)
            self.port = self.folder.port("nats", self.wanted_port)
            self.configure(home / "nats.conf", f"{self.door.path}/jetstream")
            forget_former_account(home)
            command = [str(NATS.place() / "nats-server"), "--config", f"{self.door.path}/nats.conf"]
            self.child = Child("nats-server", command, self.folder.path / "nats.log", signal.SIGTERM)
            self.child.descriptors = self.door.descriptors
            await self.child.start(self.answers, seconds=30)
        except BaseException:
            await self.stop()
            raise

    def configure(self, path: Path, store: str) -> None:
        """Writes the configuration, which only the server's user can read."""
        quoted = store.replace("\\", "\\\\").replace('"', '\\"')
        members = subscribers_of(self.folder.path)
        text = f"""
            listen: "127.0.0.1:{self.port}"
            max_payload: {MAX_PAYLOAD}
            jetstream {{ store_dir: "{quoted}" }}
            accounts {{
            {ACCOUNT}: {{
            jetstream: enabled
            users: [ {{ user: "{USER}", password: "{self.folder.secret("nats")}" }} ]
            {exports(members)}
            }}
            {accounts(members)}
            }}
        """
        with refusals_in_words(self.folder.path):
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(text)
            if is_root():
                os.chown(path, NOBODY, NOBODY)

    async def answers(self) -> bool:
        """Whether it lets us in; a client left to itself would wait two seconds after its first refusal."""
        once: dict[str, Any] = {"allow_reconnect": False, "max_reconnect_attempts": 1, "reconnect_time_wait": 0.02}
        try:
            client = await nats.connect(self.url, connect_timeout=1, error_cb=unheard, **once)
        except (OSError, nats.errors.Error):
            return False
        await client.close()
        return True

    async def unstick(self, is_stuck: Callable[[], bool], stop: asyncio.Event) -> None:
        """Until told to stop, starts it again when it is stuck: a stream whose disk was full once refuses everything
        until then, however much room there is."""
        pause = UNSTICK_SECONDS
        while not stop.is_set():
            if is_stuck() and not Room(self.folder.path).is_full() and self.child and self.child.process:
                log.warning("nats.restarted", pause=pause)
                # It may have died of it just now; then it is started again anyway.
                with suppress(ProcessLookupError):
                    self.child.process.terminate()
                pause = min(pause * 2, MAX_UNSTICK_SECONDS)
            elif not is_stuck():
                pause = UNSTICK_SECONDS
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)

    async def admit(self, stop: asyncio.Event) -> None:
        """Until told to stop, lets in whoever becomes a subscriber, and out who is none any more.

        It is started again for that: when it only reads its configuration again, what is new in it is not answered by
        the consumers that are there.
        """
        known = self.changed()
        while not stop.is_set():
            if (found := self.changed()) != known and self.door and self.child and self.child.process:
                self.configure(self.folder.path / "nats" / "nats.conf", f"{self.door.path}/jetstream")
                with suppress(ProcessLookupError):
                    self.child.process.terminate()
                known = found
                log.info("nats.subscribers_changed")
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_SECONDS)

    def changed(self) -> tuple[int, int]:
        """When the file of subscribers was written last, and which it is."""
        try:
            found = (self.folder.path / FILE).stat()
        except FileNotFoundError:
            return (0, 0)
        return (found.st_mtime_ns, found.st_ino)

    async def stop(self) -> None:
        """Ends it."""
        if self.child is not None:
            await self.child.stop()
        if self.door is not None:
            self.door.close()
        self.folder.release()


def forget_former_account(home: Path) -> None:
    """What earlier releases kept outside of accounts is a copy that nobody reads any more."""
    shutil.rmtree(home / "jetstream" / "jetstream" / "$G", ignore_errors=True)


async def unheard(problem: Exception) -> None:
    """While it starts, refused connections are no news."""
