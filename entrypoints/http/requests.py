"""Takes a request apart: its body within limits, its query and body into what the route declares."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from functools import cache
from itertools import islice
from typing import Any, get_args, get_origin
from urllib.parse import parse_qsl

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from domain.errors import Invalid, TooLarge, Unprocessable
from entrypoints.http.errors import CutOff, TooSlow, WrongMediaType

Receive = Callable[[], Awaitable[dict[str, Any]]]
# Possessive, and a text may lack its end: else a hostile body costs time that grows with its square.
NESTING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
SHOWN_INPUT = 200
DISCARD_SECONDS = 1.0
SHOWN_FAULTS = 100
OF_THE_PAST = ("as_of", "valid_at")


class Incoming:
    """What a client sends, and whether that was all of it."""

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self.ended = False

    async def __call__(self) -> dict[str, Any]:
        """The next message."""
        message = await self.receive()
        self.ended = not message.get("more_body", False)
        return message


async def read_body(receive: Receive, limit: int, seconds: float) -> bytes:
    """The whole body; TooLarge beyond `limit` bytes, TooSlow after `seconds`, CutOff when the client left before."""
    chunks: list[bytes] = []
    try:
        async with asyncio.timeout(seconds):
            async for chunk in chunks_of(receive, limit):
                chunks.append(chunk)
    except TimeoutError:
        raise TooSlow("The body did not arrive in time") from None
    return b"".join(chunks)


async def patient_chunks(receive: Receive, seconds: float) -> AsyncIterator[bytes]:
    """A body of any length as it comes; TooSlow when nothing comes for so long, CutOff as above."""

    async def in_time() -> dict[str, Any]:
        try:
            return await asyncio.wait_for(receive(), seconds)
        except TimeoutError:
            raise TooSlow("The body did not arrive in time") from None

    async for chunk in chunks_of(in_time, sys.maxsize):
        yield chunk


async def discard_body(receive: Receive, limit: int) -> bool:
    """Whether the rest of a body that nobody wants ended within `limit` bytes and a moment."""
    try:
        async with asyncio.timeout(DISCARD_SECONDS):
            async for _ in chunks_of(receive, limit):
                pass
    except (TimeoutError, TooLarge, CutOff):
        return False
    return True


async def chunks_of(receive: Receive, limit: int) -> AsyncIterator[bytes]:
    """The body piece by piece; TooLarge beyond `limit` bytes, CutOff when the client left before its end."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CutOff("The body is not complete")
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"The body exceeds {limit} bytes")
        yield chunk


def require_media(content_type: str, consumed: Collection[str]) -> None:
    """A body must say that it is of one of these types."""
    if content_type.partition(";")[0].strip().lower() not in consumed:
        raise WrongMediaType(f"The body must be {' or '.join(consumed)}")


def require_json(content_type: str) -> None:
    """A body that says it is something else is none of ours; one that says nothing is taken as it is.

    Types that a page of another origin may send without asking are among those refused.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind and kind != "application/json" and not kind.endswith("+json"):
        raise WrongMediaType("The body must be application/json")


def parse_body(raw: bytes, parser: TypeAdapter[Any], max_depth: int, app: Any = None) -> Any:
    """The body as its model, which may ask the application; Unprocessable lists what is wrong."""
    if depth(raw, max_depth) > max_depth:
        raise Unprocessable([problem("json_invalid", ["body"], f"JSON is nested deeper than {max_depth} levels", None)])
    if not raw.strip():
        raise Unprocessable([problem("missing", ["body"], "Field required", None)])
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        where = ["body", error.pos]
        raise Unprocessable([problem("json_invalid", where, "JSON decode error", {}, {"error": error.msg})]) from None
    body = validate(value, parser, "body", app)
    refuse_unstorable(body, "body")
    return body


def parse_query(query_string: bytes, model: type[BaseModel], parser: TypeAdapter[Any]) -> Any:
    """The query as its model: the last of several values, or all of them where the model wants a list.

    Parameters that the model does not know are ignored, whatever they hold; but who asks about the past is not told of
    the present instead.
    """
    values: dict[str, Any] = {}
    for name, value in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, errors="surrogateescape"):
        if name not in parameters_of(model):
            if name in OF_THE_PAST:
                raise Invalid(f"{name} is not taken here")
            continue
        if is_list(model, name):
            values.setdefault(name, []).append(value)
        else:
            values[name] = value
    refuse_unstorable(values, "query")
    return validate(values, parser, "query")


@cache
def parameters_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """What a query may hold, by the names that callers write: `from` is no name in Python."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


@cache
def is_list(model: type[BaseModel], name: str) -> bool:
    """Whether a query parameter may come several times."""
    found = parameters_of(model).get(name)
    kinds = (found.annotation, *get_args(found.annotation)) if found else ()
    return any(get_origin(kind) is list for kind in kinds)


def refuse_unstorable(value: Any, where: str) -> None:
    """Texts that the store cannot hold are refused at their field; what the model ignores may hold anything."""
    if faults := list(islice(unstorable(value, (where,)), SHOWN_FAULTS)):
        raise Unprocessable(faults)


def validate(value: Any, parser: TypeAdapter[Any], where: str, app: Any = None) -> Any:
    """The value as its model."""
    try:
        return parser.validate_python(value, from_attributes=True, context=app)
    except ValidationError as error:
        listed = error.errors(include_url=False, include_context=True)
        raise Unprocessable([as_listed(dict(e), where) for e in listed[:SHOWN_FAULTS]]) from None


def unstorable(value: Any, loc: tuple[str | int, ...]) -> Any:
    """NUL characters and lone surrogates, wherever they are."""
    if isinstance(value, str):
        if "\x00" in value or (not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value)):
            yield problem("string_unicode", list(loc), "Text may not hold NUL characters or broken Unicode", None)
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from unstorable(name, loc)
            yield from unstorable(member, (*loc, name))
    elif isinstance(value, BaseModel):
        for name, member in value:
            yield from unstorable(member, (*loc, name))
    elif isinstance(value, list):
        for n, member in enumerate(value):
            yield from unstorable(member, (*loc, n))


def as_listed(error: dict[str, Any], where: str) -> dict[str, Any]:
    """One of pydantic's errors in the form that users of the API know."""
    # A parameter that may come several times is still one parameter to whoever sent it.
    path = error["loc"][:1] if where == "query" else error["loc"]
    listed = problem(error["type"], [where, *path], error["msg"], bounded(error.get("input")))
    if context := error.get("ctx"):
        listed["ctx"] = {name: value if is_plain(value) else str(value) for name, value in context.items()}
    return listed


def problem(kind: str, loc: list[Any], message: str, value: Any, context: Any = None) -> dict[str, Any]:
    """An entry of a 422's list."""
    shown = [part[:SHOWN_INPUT] if isinstance(part, str) else part for part in loc]
    entry = {"type": kind, "loc": shown, "msg": message, "input": value}
    return entry | {"ctx": context} if context else entry


def bounded(value: Any) -> Any:
    """The refused input, unless it is long."""
    if isinstance(value, str):
        return value[:SHOWN_INPUT]
    if is_plain(value):
        return value
    return value if len(str(value)) <= 10 * SHOWN_INPUT else None


def is_plain(value: Any) -> bool:
    """Whether a value is the same in JSON."""
    return value is None or isinstance(value, bool | int | float | str)


def depth(raw: bytes, enough: int) -> int:
    """How deep brackets nest, outside of texts; counting stops beyond `enough`."""
    deepest = level = 0
    if raw.count(b"[") + raw.count(b"{") <= enough:
        return 0
    for token in NESTING.finditer(raw):
        match token.group():
            case b"[" | b"{":
                level += 1
                deepest = max(deepest, level)
            case b"]" | b"}":
                level -= 1
        if deepest > enough:
            break
    return deepest
