"""Subscribers of the feed in a process of their own, on bare sockets, so that they cost little beside what is measured.

Reads what to do as JSON on standard input and writes what came of it to standard output.
"""

import asyncio
import json
import re
import sys
from datetime import datetime
from time import monotonic, time
from typing import Any

import nats
import uvloop
from nats.js.api import DeliverPolicy

EVENT = re.compile(rb'"sequence":(\d+),"occurred_at":"[^"]+","recorded_at":"([^"]+)"')
CONNECTED_AT_ONCE = 50
SETTLE_SECONDS = 10.0
UNDERSTOOD = 100


class Reader(asyncio.Protocol):
    """One subscriber; a stalled one takes nothing after the head of the answer."""

    understood: dict[bytes, list[tuple[int, float]]] = {}

    def __init__(self, path: str, stalled: bool = False) -> None:
        self.path = path
        self.stalled = stalled
        self.opened = asyncio.get_running_loop().create_future()
        self.ended = asyncio.get_running_loop().create_future()
        self.rest = b""
        self.last = 0
        self.count = self.gaps = 0
        self.late: list[float] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(f"GET {self.path} HTTP/1.1\r\nhost: bench\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        now = time()
        if not self.opened.done():
            self.opened.set_result(data.startswith(b"HTTP/1.1 200"))
            if self.stalled:
                self.transport.pause_reading()
        data = self.rest + data
        end = data.rfind(b"\n\n")
        self.rest, whole = data[max(end, 0) :], data[: max(end, 0)]
        for sequence, moment in self.events(whole):
            self.take(sequence, now - moment)

    def take(self, sequence: int, late: float) -> None:
        """An event, and how long after it was recorded it came."""
        self.gaps += self.last not in (0, sequence - 1)
        self.last = sequence
        self.count += 1
        self.late.append(late)

    def events(self, data: bytes) -> list[tuple[int, float]]:
        """Sequences and times of events; what many subscribers are told is understood once for all."""
        if (found := self.understood.get(data)) is None:
            if len(self.understood) > UNDERSTOOD:
                self.understood.clear()
            found = self.understood[data] = [
                (int(one[1]), datetime.fromisoformat(one[2].decode()).timestamp()) for one in EVENT.finditer(data)
            ]
        return found

    def connection_lost(self, problem: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_result(False)
        self.ended.set_result(None)


async def connected(port: int, path: str, stalled: bool = False) -> Reader:
    """A subscriber whose answer has begun."""
    loop = asyncio.get_running_loop()
    _, reader = await loop.create_connection(lambda: Reader(path, stalled), "127.0.0.1", port)
    if not await asyncio.wait_for(reader.opened, 60):
        raise RuntimeError("a subscriber was not let in")
    return reader


async def replay(asked: dict[str, Any]) -> dict[str, Any]:
    """One subscriber takes the whole past."""
    started = monotonic()
    reader = await connected(asked["port"], "/v1/events?from=0&follow=false")
    await asyncio.wait_for(reader.ended, 600)
    return {"count": reader.count, "gaps": reader.gaps, "seconds": monotonic() - started}


async def live(asked: dict[str, Any]) -> dict[str, Any]:
    """Many subscribers take what is recorded in some seconds; some of them stop taking anything."""
    readers: list[Reader] = []
    for first in range(0, asked["subscribers"], CONNECTED_AT_ONCE):
        numbers = range(first, min(first + CONNECTED_AT_ONCE, asked["subscribers"]))
        readers += await asyncio.gather(
            *(connected(asked["port"], "/v1/events", number < asked["stalled"]) for number in numbers)
        )
    print("ready", flush=True)
    await asyncio.sleep(asked["seconds"] + SETTLE_SECONDS)
    awake = readers[asked["stalled"] :]
    return {
        "counts": sorted({reader.count for reader in awake}),
        "gaps": sum(reader.gaps for reader in awake),
        "late": [late for reader in awake for late in reader.late],
        "lost": sum(reader.ended.done() for reader in awake),
    }


async def replay_nats(asked: dict[str, Any]) -> dict[str, Any]:
    """One subscriber of JetStream takes so many messages from the first on."""
    client = await nats.connect(asked["nats"])
    try:
        started, count = monotonic(), 0
        options: dict[str, Any] = {"ordered_consumer": True, "deliver_policy": DeliverPolicy.ALL}
        subscription = await client.jetstream().subscribe(asked["subject"], **options)
        while count < asked["count"]:
            message = await subscription.next_msg(timeout=30)
            count += bool(message.data)
        return {"count": count, "seconds": monotonic() - started}
    finally:
        await client.close()


KINDS = {"replay": replay, "live": live, "nats": replay_nats}


if __name__ == "__main__":
    wish = json.loads(sys.stdin.readline())
    print(json.dumps(uvloop.run(KINDS[wish["kind"]](wish))), flush=True)
