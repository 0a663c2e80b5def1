"""A cheap load generator: keep-alive connections in a process of its own, times in nanoseconds."""

import asyncio
import json
import sys
from itertools import count
from time import perf_counter
from typing import Any

import uvloop


class Connection:
    """One HTTP/1.1 connection."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def open(self) -> None:
        """Connects."""
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """One request; status and body."""
        head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        head += f"content-length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)
        answered = await self.reader.readuntil(b"\r\n\r\n")
        status = int(answered[9:12])
        lower = answered.lower()
        start = lower.index(b"content-length:") + 15
        length = int(lower[start : lower.index(b"\r\n", start)])
        return status, await self.reader.readexactly(length)


def body(number: int, lanes: int) -> bytes:
    """A deployment for one of so many lanes."""
    return json.dumps(
        {
            "name": f"service-{number % lanes}",
            "version": f"1.0.{number}",
            "provider": "gcp",
            "cloud_account_id": "account",
            "region": "europe-west1",
            "environment": "production",
            "type": "k8s",
            "commit_sha": "0123456789abcdef0123456789abcdef01234567",
            "description": "A deployment of the benchmark",
        }
    ).encode()


async def run(port: int, kind: str, seconds: float, connections: int, lanes: int, known: list[str]) -> dict[str, Any]:
    """So many connections for so many seconds."""
    numbers = count(int(perf_counter() * 1000) % 1_000_000)
    latencies: list[float] = []
    made: list[str] = []
    faults = 0
    until = perf_counter() + seconds

    async def one(first: int) -> None:
        nonlocal faults
        connection = Connection("127.0.0.1", port)
        await connection.open()
        mine = count(first, connections)
        while perf_counter() < until:
            method, path, sent = request(kind, next(numbers), next(mine), lanes, known)
            started = perf_counter()
            status, answered = await connection.ask(method, path, sent)
            latencies.append(perf_counter() - started)
            faults += status >= 400
            if kind == "create" and status == 201:
                made.append(json.loads(answered)["id"])
        connection.writer.close()

    started = perf_counter()
    await asyncio.gather(*(one(n) for n in range(connections)))
    took = perf_counter() - started
    return {"count": len(latencies), "seconds": took, "latencies": sorted(latencies), "made": made, "faults": faults}


def request(kind: str, number: int, mine: int, lanes: int, known: list[str]) -> tuple[str, str, bytes]:
    """The next request of a kind."""
    match kind:
        case "create":
            return "POST", "/v1/deployments", body(number, lanes)
        case "update":
            return "PATCH", f"/v1/deployments/{known[mine % len(known)]}", b'{"status": "in_progress"}'
        case "get":
            return "GET", f"/v1/deployments/{known[mine % len(known)]}", b""
    return "GET", f"/v1/deployments{kind}", b""


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump(uvloop.run(run(**asked)), sys.stdout)
