"""A receiver of webhooks on this machine: keeps what came, and answers what the test wants."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any

import orjson

PATIENCE = 20


@dataclass(frozen=True)
class Came:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        """Its body."""
        return orjson.loads(self.body)

    @property
    def topic(self) -> str:
        """What it tells of."""
        return str(self.told["data"]["topic"])


@dataclass
class Receiver:
    """`answers` is asked for each request; a text is the whole answer, None never one."""

    port: int = 0
    came: list[Came] = field(default_factory=list)
    answers: Callable[[Came], bytes | None] = lambda _: answered(204)
    moved: asyncio.Condition = field(default_factory=asyncio.Condition)
    busy: set[asyncio.Task[Any]] = field(default_factory=set)

    def url(self, path: str = "/hook", scheme: str = "http") -> str:
        """Where it listens."""
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection for as long as it lasts."""
        task = asyncio.current_task()
        assert task
        self.busy.add(task)
        try:
            while request := await self.read(reader):
                async with self.moved:
                    self.came.append(request)
                    self.moved.notify_all()
                if (answer := self.answers(request)) is None:
                    await asyncio.Event().wait()
                else:
                    writer.write(answer)
                    await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.busy.discard(task)
            writer.close()

    async def read(self, reader: asyncio.StreamReader) -> Came | None:
        """The next request, None at the end."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        return Came(first.split()[1], headers, await reader.readexactly(int(headers.get("content-length", "0"))))

    async def until(self, number: int) -> list[Came]:
        """What came, as soon as it is so many."""
        async with asyncio.timeout(PATIENCE), self.moved:
            await self.moved.wait_for(lambda: len(self.came) >= number)
        return list(self.came)


def answered(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An answer as it goes over the wire."""
    told = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Whatever\r\ncontent-length: {len(body)}\r\n{told}\r\n".encode() + body


@asynccontextmanager
async def receiving(tls: SSLContext | None = None) -> AsyncIterator[Receiver]:
    """One that listens until the end."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.take, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in receiver.busy:
            task.cancel()
        await asyncio.gather(*receiver.busy, return_exceptions=True)
