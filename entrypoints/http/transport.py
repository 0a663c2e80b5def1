"""Writes what comes within one turn of the event loop at once: the head and the body of an answer are one packet."""

import asyncio
from typing import Any


class Gathering:
    """A transport that puts writes together; everything else passes through."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.transport = transport
        self.loop = loop
        self.written: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    def write(self, data: bytes) -> None:
        """Sends this, with all else that is written in this turn of the loop."""
        if not self.written:
            self.loop.call_soon(self.flush)
        self.written.append(data)

    def flush(self) -> None:
        """Sends what was put together, unless the connection is gone."""
        data, self.written = b"".join(self.written), []
        if data:
            self.transport.write(data)

    def close(self) -> None:
        """Ends the connection after what was written."""
        self.flush()
        self.transport.close()
