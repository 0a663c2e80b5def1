"""WebSockets: the same door as requests have, refused in words before it opens, then texts in one direction."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog
from pydantic import TypeAdapter

from domain.errors import Forbidden, RollbookError
from entrypoints.http.errors import Broken, NoSuchPath
from entrypoints.http.requests import parse_query
from entrypoints.http.routing import Answer, Call, Closing, Messages, Route
from entrypoints.http.streaming import hung_up, until_done

if TYPE_CHECKING:
    from entrypoints.http.api import Api

log = structlog.get_logger()
ACCEPTED = 101


class Sockets:
    """Serves the WebSockets of all interfaces."""

    def __init__(self, api: "Api", routes: Sequence[Route]) -> None:
        self.api = api
        self.routes = {route.path: route for route in routes}
        self.queries = {route.path: TypeAdapter(route.query) for route in routes if route.query}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One WebSocket from its request to its end."""
        call = self.api.call_of(scope)
        await receive()
        found = await self.messages_or_refusal(call)
        template = call.route.path if call.route else "unmatched"
        self.api.hooks.observe("GET", template, found.status if isinstance(found, Answer) else ACCEPTED, 0.0)
        with suppress(OSError):  # So the server says that nobody is there any more.
            if isinstance(found, Answer):
                return await refuse(send, found, self.api.always)
            await send({"type": "websocket.accept", "headers": encoded(self.api.always)})
            await converse(send, receive, found)

    async def messages_or_refusal(self, call: Call) -> Messages | Answer:
        """What is told, or why nothing is."""
        try:
            return await self.messages(call)
        except RollbookError as refusal:
            return self.api.refused(call, refusal)
        except Exception:
            log.exception("socket.broken", trace_id=call.trace_id, path=call.route.path if call.route else None)
            return self.api.refused(call, Broken("Internal Server Error"))

    async def messages(self, call: Call) -> Messages:
        """401 and 403 come before anything is looked up."""
        if (route := self.routes.get(call.path)) is None:
            raise NoSuchPath("Not Found")
        call.route = route
        refuse_foreign_page(call)
        call._caller = await self.api.hooks.authenticate(call)
        await self.api.hooks.authorise(call, route.action)
        assert route.query is not None
        query = parse_query(call.query_string, route.query, self.queries[route.path])
        conversation: Any = route.endpoint(call, query=query)
        messages: Messages = await self.api.in_time(conversation)
        return messages


def refuse_foreign_page(call: Call) -> None:
    """A page of another origin may open a WebSocket without asking, so only pages that we serve may."""
    origin = call.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != call.headers.get("host", "").lower():
        raise Forbidden("A page of another origin may not subscribe")


def encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as they go over the wire."""
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]


async def refuse(send: Any, answer: Answer, always: Mapping[str, str]) -> None:
    """Answers the request instead of accepting it."""
    headers = encoded({**answer.headers, **always, "content-type": answer.media_type})
    await send({"type": "websocket.http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": answer.body})


async def converse(send: Any, receive: Any, messages: Messages) -> None:
    """Tells all that there is; what the other side says is not listened to, unless it leaves."""
    closing = Closing(1000, "")
    try:
        async with until_done(hung_up(receive)):
            async for texts in messages.texts:
                if isinstance(texts, Closing):
                    closing = texts
                    break
                await tell(send, texts, messages.seconds)
    except TimeoutError:
        closing = messages.too_slow()
    finally:
        await messages.texts.aclose()
    await send({"type": "websocket.close", "code": closing.code, "reason": closing.reason})


async def tell(send: Any, texts: list[str], seconds: float) -> None:
    """Sends texts; TimeoutError when one is not taken in time."""
    for text in texts:
        async with asyncio.timeout(seconds):
            await send({"type": "websocket.send", "text": text})
