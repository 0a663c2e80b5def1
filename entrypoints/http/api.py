"""The ASGI application: finds the route, asks who is there and whether they may, parses, answers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from time import perf_counter
from typing import Any, TypeVar

import structlog
from pydantic import TypeAdapter

from application.caller import Caller
from domain.errors import RollbookError, Unavailable
from entrypoints.http.errors import Broken, NoSuchPath, WrongMethod, headers_of, status_of
from entrypoints.http.requests import (
    Incoming,
    discard_body,
    parse_body,
    parse_query,
    patient_chunks,
    read_body,
    require_json,
    require_media,
)
from entrypoints.http.routing import Answer, Call, Interface, Route
from entrypoints.http.streaming import HANG_UP, send_chunks, send_stream
from entrypoints.http.websockets import Sockets

log = structlog.get_logger()
T = TypeVar("T")
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
READING = frozenset({"GET", "HEAD"})
TRIES = 5
Observe = Callable[[str, str, int, float], None]


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the application plugs in: who asks, whether they may, what to count, how a trace goes on, and how often
    the store was lost so far."""

    authenticate: Callable[[Call], Awaitable[Caller]]
    authorise: Callable[[Call, str], Awaitable[None]]
    observe: Observe
    continue_trace: Callable[[str | None], str]
    losses: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Limits:
    """How large, how deep and how slow a request may be."""

    body_bytes: int
    json_depth: int
    seconds: float


class Api:
    """Serves the routes of several interfaces. Unknown paths are answered in the shape of the nearest one."""

    def __init__(
        self,
        interfaces: Sequence[Interface],
        app: Any,
        hooks: Hooks,
        limits: Limits,
        always: Mapping[str, str] | None = None,
    ) -> None:
        """`always` are headers of every answer."""
        self.interfaces = interfaces
        self.always = always or {}
        self.app = app
        self.hooks = hooks
        self.limits = limits
        self.routes = [route for interface in interfaces for route in interface.routes]
        self.exact = {(r.method, r.path): r for r in self.routes if "{" not in r.path}
        self.queries = {id(r): TypeAdapter(r.query) for r in self.routes if r.query}
        self.sockets = Sockets(self, [route for interface in interfaces for route in interface.sockets])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request, or one WebSocket; lifespans are not ours."""
        if scope["type"] == "websocket":
            return await self.sockets(scope, receive, send)
        if scope["type"] != "http":
            return
        started = perf_counter()
        call, incoming = self.call_of(scope), Incoming(receive)
        try:
            answer = await self.answer_or_refusal(call, incoming)
        except Exception:
            log.exception("request.broken", trace_id=call.trace_id, path=call.route.path if call.route else None)
            answer = self.refused(call, Broken("Internal Server Error"))
        if call.unread and not incoming.ended and not await self.discarded(call, incoming):
            answer.headers["connection"] = "close"
        template = call.route.path if call.route else "unmatched"
        method = call.method if call.method in METHODS else "other"
        self.hooks.observe(method, template, answer.status, perf_counter() - started)
        answer.headers |= self.always
        await reply(send, receive, answer, call)

    def call_of(self, scope: Any) -> Call:
        """The request before it is parsed."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        return Call(
            app=self.app,
            method=scope.get("method", "GET"),
            path=scope["path"],
            headers=headers,
            query_string=scope["query_string"],
            address=scope["client"][0] if scope.get("client") else "",
            traceparent=self.hooks.continue_trace(headers.get("traceparent")),
            unread="transfer-encoding" in headers or headers.get("content-length", "0") != "0",
            hang_up=scope.get("extensions", {}).get(HANG_UP, {}).get("call"),
        )

    async def answer_or_refusal(self, call: Call, receive: Any) -> Answer:
        """What the route answers, or why not."""
        try:
            return await self.answer(call, receive)
        except RollbookError as refusal:
            return self.refused(call, refusal)

    async def answer(self, call: Call, receive: Any) -> Answer:
        """401 and 403 come before anything is read, 422 before anything is looked up."""
        route = call.route = self.find(call)
        if not route.open:
            call._caller = await self.hooks.authenticate(call)
            await self.hooks.authorise(call, route.action)
        arguments: dict[str, Any] = dict(call.params)
        if route.query:
            arguments["query"] = parse_query(call.query_string, route.query, self.queries[id(route)])
        if route.consumes:
            require_media(call.headers.get("content-type", ""), route.consumes)
            call.chunks = patient_chunks(receive, self.limits.seconds)
            return await route.endpoint(call, **arguments)
        if call.method not in READING:
            call.body = await read_body(receive, self.limits.body_bytes, self.limits.seconds)
            call.unread = False
        if route.body_parser:
            require_json(call.headers.get("content-type", ""))
            arguments["body"] = parse_body(call.body, route.body_parser, self.limits.json_depth, self.app)
        work = self.done(call, partial(route.endpoint, call, **arguments))
        return await (work if route.patient else self.in_time(work))

    async def done(self, call: Call, endpoint: Callable[[], Awaitable[Answer]]) -> Answer:
        """What the endpoint answers. What only reads is read again if the store may have gone back meanwhile: then
        something may not have been found that is there."""
        if call.method not in READING:
            return await endpoint()
        for _ in range(TRIES):
            before = self.hooks.losses()
            try:
                answer = await endpoint()
            except RollbookError as refusal:
                if isinstance(refusal, Unavailable) or self.hooks.losses() == before:
                    raise
            else:
                if answer.chunks or self.hooks.losses() == before:
                    return answer
        raise Unavailable("The event store does not answer")

    async def in_time(self, work: Awaitable[T]) -> T:
        """What the endpoint answers; Unavailable when it takes too long, which leaves open what was recorded."""
        try:
            async with asyncio.timeout(self.limits.seconds) as limit:
                return await work
        except TimeoutError:
            if not limit.expired():
                raise
            raise Unavailable("The request took too long; repeat it with its Idempotency-Key") from None

    async def discarded(self, call: Call, receive: Any) -> bool:
        """Whether the connection is free for another request, the body that nobody read being gone.

        Who hung up on somebody still sending would keep them from reading why.
        """
        return "expect" not in call.headers and await discard_body(receive, self.limits.body_bytes)

    def find(self, call: Call) -> Route:
        """The route, or NoSuchPath or WrongMethod."""
        if route := self.exact.get((call.method, call.path)):
            return route
        allowed = [method for method, path in self.exact if path == call.path]
        for route in self.routes if not allowed else ():
            if matched := route.pattern.fullmatch(call.path):
                if route.method == call.method:
                    call.params = matched.groupdict()
                    return route
                allowed.append(route.method)
        if allowed:
            raise WrongMethod("Method Not Allowed", allow=", ".join(sorted(set(allowed))))
        raise NoSuchPath("Not Found")

    def refused(self, call: Call, refusal: RollbookError) -> Answer:
        """The refusal in the shape of the interface that the path belongs to."""
        nearest = [i for i in self.interfaces if call.path.startswith(i.prefix)] or self.interfaces[:1]
        shape = call.route.errors if call.route else max(nearest, key=lambda i: len(i.prefix)).errors
        answer = shape.write(refusal, shape.status(status_of(refusal)))
        answer.headers |= headers_of(refusal, call.trace_id)
        return answer


async def reply(send: Any, receive: Any, answer: Answer, call: Call) -> None:
    """Sends an answer, whole or as it comes."""
    headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in answer.headers.items()]
    if answer.chunks is None and answer.status != HTTPStatus.NO_CONTENT:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    if answer.body or answer.chunks:
        headers.append((b"content-type", answer.media_type.encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if answer.chunks is not None and answer.patience and call.hang_up:
        await send_stream(send, receive, answer.chunks, answer.patience, call.hang_up)
    elif answer.chunks is not None:
        await send_chunks(send, receive, answer.chunks)
    await send({"type": "http.response.body", "body": b"" if call.method == "HEAD" else answer.body})
