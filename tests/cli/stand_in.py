"""A server on loopback that says what a test told it to say, and remembers what it was asked."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

LIMIT = 30


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: Any


@dataclass(slots=True)
class StandIn:
    """Answers in the order in which its answers were given."""

    url: str
    asked: list[Asked] = field(default_factory=list)
    answers: deque[Response] = field(default_factory=deque)

    def says(self, status: int, body: Any = None, **headers: str) -> None:
        """Adds an answer; a header's name has underscores for its dashes."""
        content = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append(Response(content, status, named))

    async def answer(self, request: Request) -> Response:
        """The next answer; without one left, an error that no command takes for success."""
        content = await request.body()
        query = parse_qsl(request.url.query, keep_blank_values=True)
        body = json.loads(content) if content else None
        path = request.scope["raw_path"].decode().partition("?")[0]
        self.asked.append(Asked(request.method, path, query, dict(request.headers), body))
        return self.answers.popleft() if self.answers else Response("nothing left to say", 501)


@contextmanager
def standing_in() -> Iterator[StandIn]:
    """A running server; its socket listens before it does, so nobody has to wait for it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stand_in = StandIn(f"http://127.0.0.1:{listening.getsockname()[1]}")
        methods = ["GET", "POST", "PATCH", "PUT", "DELETE"]
        app = Starlette(routes=[Route("/{path:path}", stand_in.answer, methods=methods)])
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield stand_in
        finally:
            server.should_exit = True
            thread.join(LIMIT)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command line ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)

    @property
    def failure(self) -> Any:
        """The error object that it printed, as JSON."""
        return json.loads(self.err)["error"]


START = "from entrypoints.cli.main import main; main()"


def rollbook(*arguments: str, given: str | None = None, **environment: str) -> Ended:
    """Runs the command line in a process of its own, with this environment and nothing else of ours."""
    clean = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "NO_PROXY": "*"}
    ended = subprocess.run(
        [sys.executable, "-c", START, *arguments],
        input=given or "",
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)
