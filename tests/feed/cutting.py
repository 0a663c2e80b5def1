"""A way to a server that breaks again and again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

PIECE = 512


class Cutting:
    """Lets `allowed` bytes of each answer through, then cuts it off. `cuts` is how often that happened."""

    def __init__(self, url: str, allowed: int) -> None:
        self.target = urlsplit(url)
        self.allowed = allowed
        self.cuts = 0
        self.url = ""

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        there, back = await asyncio.open_connection(self.target.hostname, self.target.port)
        sending = asyncio.create_task(self.copy(reader, back))
        with suppress(OSError):
            left = self.allowed
            while left > 0 and (data := await there.read(min(PIECE, left))):
                writer.write(data)
                await writer.drain()
                left -= len(data)
            self.cuts += left <= 0
        sending.cancel()
        back.close()
        writer.close()

    async def copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What the client sends."""
        with suppress(OSError):
            while data := await reader.read(PIECE):
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def cutting(url: str, allowed: int) -> AsyncIterator[Cutting]:
    """Such a way."""
    made = Cutting(url, allowed)
    server = await asyncio.start_server(made.pass_on, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
