"""A load at a fixed pace, in a process of its own: a command starts when it is due, whether the last one is done."""

import asyncio
import json
import sys
from collections import deque
from time import perf_counter
from typing import Any

import uvloop

from tests.bench.generator import Connection, body

LANES = 200
CONNECTIONS = 32


class Pace:
    """Creates, starts and finishes deployments in turn."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.idle: asyncio.Queue[Connection] = asyncio.Queue()
        self.made: deque[str] = deque()
        self.started: deque[str] = deque()
        self.seconds: list[float] = []
        self.faults = 0

    async def open(self) -> None:
        """Connects."""
        for _ in range(CONNECTIONS):
            connection = Connection("127.0.0.1", self.port)
            await connection.open()
            self.idle.put_nowait(connection)

    async def keep(self, rate: int, seconds: float) -> None:
        """So many commands a second for so long."""
        start = perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number in range(int(rate * seconds)):
                await asyncio.sleep(max(0.0, start + number / rate - perf_counter()))
                tasks.create_task(self.one(number))

    async def one(self, number: int) -> None:
        """The next command, on the next free connection."""
        connection = await self.idle.get()
        asked = perf_counter()
        if number % 3 == 1 and self.made:
            self.started.append(await self.update(connection, self.made.popleft(), b'{"status": "in_progress"}'))
        elif number % 3 == 2 and self.started:
            await self.update(connection, self.started.popleft(), b'{"status": "deployed"}')
        else:
            await self.create(connection, number)
        self.seconds.append(perf_counter() - asked)
        self.idle.put_nowait(connection)

    async def create(self, connection: Connection, number: int) -> None:
        """Queues one more."""
        status, answer = await connection.ask("POST", "/v1/deployments", body(number, LANES))
        self.faults += status >= 400
        self.made.append(json.loads(answer)["id"])

    async def update(self, connection: Connection, deployment_id: str, sent: bytes) -> str:
        """Reports what became of one."""
        status, _ = await connection.ask("PATCH", f"/v1/deployments/{deployment_id}", sent)
        self.faults += status >= 400
        return deployment_id


async def run(port: int, rate: int, seconds: float) -> dict[str, Any]:
    """What it took to answer."""
    pace = Pace(port)
    await pace.open()
    await pace.keep(rate, seconds)
    return {"seconds": pace.seconds, "faults": pace.faults}


if __name__ == "__main__":
    json.dump(uvloop.run(run(**json.load(sys.stdin))), sys.stdout)
