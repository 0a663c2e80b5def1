"""Lets questions through and nothing else: what is served is a copy, to whoever sits at this machine."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import orjson

from entrypoints.http.errors import PROBLEM

ASKING = ("GET", "HEAD", "OPTIONS")
HERE = ("127.0.0.1", "localhost", "::1")
WRITING = (405, "Method Not Allowed", "READ_ONLY", "This is a bundle, a copy of the record: it can only be read")
STREAMS = ("/v1/events", "/v1/audit/exports/")
NOT_WHOLE = (404, "Not Found", "NOT_FOUND", "A bundle is no whole log: ask /v1/audit/events what happened in its span")
ELSEWHERE = (421, "Misdirected Request", "NOT_HERE", "A bundle is shown at 127.0.0.1 and localhost, by no other name")


class ReadOnly:
    """Wraps the ASGI application of all interfaces."""

    def __init__(self, api: Any) -> None:
        self.api = api

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request; refused unless it only asks. WebSockets are closed: nothing new ever comes."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "A bundle has no feed"})
        elif scope["type"] == "http" and not is_here(scope["headers"]):
            await refuse(send, *ELSEWHERE)
        elif scope["type"] == "http" and scope["method"] not in ASKING:
            await refuse(send, *WRITING)
        elif scope["type"] == "http" and scope["path"].startswith(STREAMS):
            await refuse(send, *NOT_WHOLE)
        else:
            await self.api(scope, receive, send)


def is_here(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether this machine was meant: a page from elsewhere may have its own name lead here, and read what it gets."""
    hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
    try:
        return all(urlsplit(f"//{host}").hostname in HERE for host in hosts)
    except ValueError:
        return False


async def refuse(send: Any, status: int, title: str, code: str, detail: str) -> None:
    """Answers with a problem."""
    body = orjson.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code})
    headers = [(b"content-type", PROBLEM.encode()), (b"content-length", str(len(body)).encode())]
    headers += [(b"allow", ", ".join(ASKING).encode())] if status == WRITING[0] else []
    headers += [(b"x-error-code", code.encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
