"""Typed routes: each declares its path, body, query, answer and refusals, for parsing and for OpenAPI alike."""

import inspect
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypedDict, Unpack, get_type_hints

import orjson
from pydantic import BaseModel, TypeAdapter

from application.caller import Caller
from domain.errors import RollbookError
from entrypoints.http.headers import Header

JSON = "application/json"
Endpoint = Callable[..., Awaitable["Answer"]]
Conversation = Callable[..., Awaitable["Messages"]]


@dataclass(slots=True)
class Call:
    """One request on its way through a route. Header names are lower-case. `app` is what composition built.

    `unread` is whether a body may be on its way that nobody has read, `began` when the request came. `hang_up` ends
    the connection with a last word, behind what was sent and not taken yet.
    """

    app: Any
    method: str
    path: str
    headers: Mapping[str, str]
    query_string: bytes
    address: str
    traceparent: str
    params: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    chunks: AsyncIterator[bytes] | None = None
    unread: bool = False
    began: float = field(default_factory=monotonic)
    hang_up: Callable[[bytes], None] | None = None
    route: "Route | None" = None
    _caller: Caller | None = None

    @property
    def caller(self) -> Caller:
        """Who asks; only routes that are not open have one."""
        assert self._caller is not None
        return self._caller

    @property
    def trace_id(self) -> str:
        """Names this request in logs, errors and traces."""
        return self.traceparent.split("-")[1]


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds one piece of an endless answer may wait to be taken, and what is said then."""

    seconds: float
    last_word: Callable[[], bytes]


@dataclass(slots=True)
class Answer:
    """What goes back: `body`, or `chunks` as they come, for what is long or takes long; `patience` where it may never
    end."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = JSON
    chunks: AsyncGenerator[bytes, None] | None = None
    patience: Patience | None = None


@dataclass(frozen=True, slots=True)
class Closing:
    """How a WebSocket is closed."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Messages:
    """What a WebSocket gets: texts, several at once, and at last why it is closed; `patience` says that in time too."""

    texts: AsyncGenerator[list[str] | Closing, None]
    seconds: float
    too_slow: Callable[[], Closing]


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None, media_type: str = JSON) -> Answer:
    """An answer that holds this value as JSON."""
    return Answer(status, orjson.dumps(value), headers or {}, media_type)


@dataclass(frozen=True, slots=True)
class ErrorShape:
    """How an interface tells a refusal of some status: `write` makes the body that `model` describes.

    `instead` names the statuses that it knows others for.
    """

    write: Callable[[RollbookError, int], Answer]
    model: Callable[[int], type[BaseModel]]
    media_type: str = JSON
    instead: Mapping[int, int] = field(default_factory=dict)

    def status(self, status: int) -> int:
        """The status as this interface says it."""
        return self.instead.get(status, status)


class RouteFacts(TypedDict, total=False):
    """What may be said of a route beside its method, path and endpoint; see Route."""

    action: str
    answer: Any
    media_type: str
    consumes: tuple[str, ...]
    patient: bool
    status: int
    open: bool
    appends: bool
    raises: tuple[type[RollbookError], ...]
    empty: Mapping[int, str]
    also: Mapping[int, Any]
    takes: tuple[Header, ...]
    gives: tuple[Header, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path. `action` is what the caller must be allowed to do; open routes need nobody.

    `appends` is whether it records something, so that an Idempotency-Key makes sense. `raises` are the refusals of
    its own, beside those that follow from the rest of the record. `empty` are the statuses of answers without a body
    and what they mean, `also` those of other answers with their models. `takes` and `gives` are headers of its own.
    """

    method: str
    path: str
    endpoint: Endpoint
    tag: str
    errors: ErrorShape
    interface: str
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    pattern: re.Pattern[str]
    body_parser: TypeAdapter[Any] | None
    appends: bool
    action: str = ""
    answer: Any = None
    media_type: str = JSON
    consumes: tuple[str, ...] = ()
    patient: bool = False
    status: int = 200
    open: bool = False
    raises: tuple[type[RollbookError], ...] = ()
    empty: Mapping[int, str] = field(default_factory=dict)
    also: Mapping[int, Any] = field(default_factory=dict)
    takes: tuple[Header, ...] = ()
    gives: tuple[Header, ...] = ()


def pattern_of(path: str) -> re.Pattern[str]:
    """What a path template matches; a parameter is one segment."""
    parts = re.split(r"(\{\w+\})", path)
    return re.compile("".join(f"(?P<{p[1:-1]}>[^/]+)" if p.startswith("{") else re.escape(p) for p in parts))


class Interface:
    """A set of routes that share their error body and their words."""

    def __init__(self, name: str, prefix: str, errors: ErrorShape) -> None:
        self.name = name
        self.prefix = prefix
        self.errors = errors
        self.routes: list[Route] = []
        self.sockets: list[Route] = []

    def route(self, method: str, path: str, **facts: Unpack[RouteFacts]) -> Callable[[Endpoint], Endpoint]:
        """Registers an endpoint; its `body` and `query` parameters are parsed by their annotations."""
        facts.setdefault("appends", method in ("POST", "PATCH", "PUT", "DELETE") and not facts.get("open"))

        def register(endpoint: Endpoint) -> Endpoint:
            self.routes.append(self.made(method, path, endpoint, facts))
            return endpoint

        return register

    def made(self, method: str, path: str, endpoint: Callable[..., Any], facts: RouteFacts) -> Route:
        """The record of an endpoint."""
        hints = get_type_hints(endpoint)
        body = hints.get("body")
        return Route(
            method=method,
            path=path,
            endpoint=endpoint,
            tag=self.name,
            errors=self.errors,
            interface=self.name,
            body=body,
            query=hints.get("query"),
            pattern=pattern_of(path),
            body_parser=TypeAdapter(body) if body else None,
            **facts,
        )

    def socket(self, path: str, action: str) -> Callable[[Conversation], Conversation]:
        """Registers who talks over a WebSocket; the OpenAPI document knows none."""

        def register(conversation: Conversation) -> Conversation:
            self.sockets.append(self.made("GET", path, conversation, {"action": action, "appends": False}))
            return conversation

        return register

    def get(self, path: str, **facts: Unpack[RouteFacts]) -> Callable[[Endpoint], Endpoint]:
        """Registers a GET."""
        return self.route("GET", path, **facts)

    def post(self, path: str, **facts: Unpack[RouteFacts]) -> Callable[[Endpoint], Endpoint]:
        """Registers a POST."""
        return self.route("POST", path, **facts)

    def patch(self, path: str, **facts: Unpack[RouteFacts]) -> Callable[[Endpoint], Endpoint]:
        """Registers a PATCH."""
        return self.route("PATCH", path, **facts)

    def put(self, path: str, **facts: Unpack[RouteFacts]) -> Callable[[Endpoint], Endpoint]:
        """Registers a PUT."""
        return self.route("PUT", path, **facts)

    def delete(self, path: str, **facts: Unpack[RouteFacts]) -> Callable[[Endpoint], Endpoint]:
        """Registers a DELETE."""
        return self.route("DELETE", path, **facts)


def summary(endpoint: Endpoint) -> str:
    """The first line of what an endpoint says of itself."""
    return (inspect.getdoc(endpoint) or endpoint.__name__).splitlines()[0]
