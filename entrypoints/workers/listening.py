"""Where a process listens: bound before anything else starts, so that a port in use is said at once and in words."""

import errno
import socket
from contextlib import nullcontext
from typing import Any

import uvicorn

from adapters.embedded.process import CannotStart
from entrypoints.http.protocol import bounded

BACKLOG = 2048
ABSENT = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class Server(uvicorn.Server):
    """A server that leaves signals to the process."""

    def capture_signals(self) -> Any:
        """Nothing: the process decides when to stop."""
        return nullcontext()


def server(
    app: Any, host: str, port: int, drain_seconds: int, head_bytes: int = 65_536, seconds: float = 30.0
) -> Server:
    """Not started yet; requests in flight get `drain_seconds` to finish when it stops.

    The head of a request may have `head_bytes` and take `seconds`.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=bounded(head_bytes, seconds),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=drain_seconds,
    )
    return Server(config)


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
