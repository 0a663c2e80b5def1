"""Lets questions through and nothing else: what is served is a copy."""

from typing import Any

import orjson

from entrypoints.http.errors import PROBLEM

ASKING = ("GET", "HEAD", "OPTIONS")
REFUSAL = orjson.dumps(
    {
        "type": "about:blank",
        "title": "Method Not Allowed",
        "status": 405,
        "detail": "This is a bundle, a copy of a part of the record: it can only be read",
        "code": "READ_ONLY",
    }
)
HEADERS = [
    (b"content-type", PROBLEM.encode()),
    (b"content-length", str(len(REFUSAL)).encode()),
    (b"allow", ", ".join(ASKING).encode()),
    (b"x-error-code", b"READ_ONLY"),
    (b"connection", b"close"),
]


class ReadOnly:
    """Wraps the ASGI application of all interfaces."""

    def __init__(self, api: Any) -> None:
        self.api = api

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request; 405 unless it only asks. WebSockets are closed: nothing new ever comes."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "A bundle has no feed"})
        elif scope["type"] == "http" and scope["method"] not in ASKING:
            await send({"type": "http.response.start", "status": 405, "headers": HEADERS})
            await send({"type": "http.response.body", "body": REFUSAL})
        else:
            await self.api(scope, receive, send)
