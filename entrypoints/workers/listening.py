"""Where a process listens: bound before anything else starts, so that a port in use is said at once and in words."""

import errno
import resource
import socket
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any

import uvicorn

from adapters.embedded.process import CannotStart
from entrypoints.http.protocol import BoundedSocket, bounded

BACKLOG = 2048
LARGEST_MESSAGE = 4096
PING_SECONDS = 20.0
PONG_SECONDS = 60.0
ABSENT = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class Server(uvicorn.Server):
    """A server that leaves signals to the process; when it stops, endless answers are let go first."""

    let_go: Callable[[], Awaitable[None]] | None = None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Nobody new is let in, then everybody goes."""
        for listening in self.servers:
            listening.close()
        if self.let_go is not None:
            await self.let_go()
        await super().shutdown(sockets)

    def capture_signals(self) -> Any:
        """Nothing: the process decides when to stop."""
        return nullcontext()


def server(
    app: Any,
    host: str,
    port: int,
    drain_seconds: int,
    head_bytes: int = 65_536,
    seconds: float = 30.0,
    let_go: Callable[[], Awaitable[None]] | None = None,
) -> Server:
    """Not started yet; requests in flight get `drain_seconds` to finish when it stops, `let_go` ends those that would
    never.

    The head of a request may have `head_bytes` and take `seconds`.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=bounded(head_bytes, seconds),
        ws=BoundedSocket,
        ws_max_size=LARGEST_MESSAGE,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PONG_SECONDS,
        ws_per_message_deflate=False,
        log_level="warning",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=drain_seconds,
    )
    made = Server(config)
    made.let_go = let_go
    return made


def open_more_files() -> None:
    """Takes all the connections that this process may have, which is usually more than it is given at first."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def bound(name: str, host: str, port: int) -> list[socket.socket]:
    """Sockets on every address of the host; CannotStart when the setting `name`_PORT or _HOST cannot be had."""
    try:
        found = socket.getaddrinfo(host, port or None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        raise CannotStart(f"{name}_HOST={host} is no address of this machine") from None
    sockets: list[socket.socket] = []
    problem: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            sockets.append(listener(family, (address[0], port or port_of(sockets), *address[2:])))
        except OSError as refused:
            problem = refused if problem is None or refused.errno not in ABSENT else problem
    if sockets and (problem is None or problem.errno in ABSENT):
        return sockets
    close(sockets)
    raise CannotStart(refusal(name, host, port, problem))


def listener(family: int, address: Any) -> socket.socket:
    """A socket that is bound; OSError when it cannot be, or somebody listens there."""
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
        one.listen(BACKLOG)  # Until somebody listens, a second socket could be bound to the same port.
    except OSError:
        one.close()
        raise
    return one


def port_of(sockets: list[socket.socket]) -> int:
    """The port that the first one got, 0 without any."""
    return int(sockets[0].getsockname()[1]) if sockets else 0


def close(sockets: list[socket.socket]) -> None:
    """Lets go of all of them."""
    for one in sockets:
        one.close()


def refusal(name: str, host: str, port: int, problem: OSError | None) -> str:
    """Why there is no socket, and what to change."""
    code = problem.errno if problem else 0
    if code == errno.EADDRINUSE:
        return f"Port {port} on {host} is in use: set {name}_PORT to a free one"
    if code == errno.EACCES:
        return f"Port {port} on {host} is for root only: set {name}_PORT to one above 1023"
    return f"{name}_HOST={host} is no address of this machine"
