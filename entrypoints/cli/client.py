"""Asks a Rollbook server over HTTP, patiently but never without end."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import uniform
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import httpx2

from entrypoints.cli.failures import Exit, Failure, exit_for, misuse, unreachable

CONNECT_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.2
LARGEST_ANSWER_BYTES = 256 * 1024 * 1024
TRY_LATER = (429, 503)

Query = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the server is and as whom to ask it; `timeout` in seconds bounds one request with its retries."""

    url: str
    token: str | None = field(default=None, repr=False)
    organisation: str | None = None
    timeout: float = 30.0
    retries: int = 3

    def headers(self) -> dict[str, str]:
        """What goes with every request."""
        sent = {"Accept": "application/json", "User-Agent": "rollbook-cli"}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        if self.organisation:
            sent["X-Organisation"] = self.organisation
        return sent


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, which may be sent several times."""

    method: str
    path: str
    query: Query
    body: Any
    headers: Mapping[str, str]

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.method in ("GET", "PUT") or "Idempotency-Key" in self.headers


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer of any status."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        """The JSON answer, None for an empty one; a Failure where something else came."""
        try:
            return json.loads(self.content) if self.content else None
        except (ValueError, RecursionError):
            text = f"The answer is not JSON: is this the address of a Rollbook server? (status {self.status})"
            raise Failure(text, Exit.UNAVAILABLE, "NOT_JSON", self.status) from None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The JSON answer where it is an array of objects; a Failure where it is not."""
        found = self.body
        if isinstance(found, list) and all(isinstance(one, dict) for one in found):
            return found
        raise unexpected(self.status)

    @property
    def next_page(self) -> Query | None:
        """The query of the page after this one. Only the query: the token never follows a link elsewhere."""
        links = httpx2.Response(self.status, headers=dict(self.headers)).links
        url = links.get("next", {}).get("url")
        return parse_qsl(urlsplit(url).query, keep_blank_values=True) if url else None


class Api:
    """A server as one caller sees it; a context manager that closes its connections."""

    def __init__(self, place: Place) -> None:
        self._place = place
        try:
            self._http = httpx2.Client(base_url=place.url, headers=place.headers(), follow_redirects=False)
        except (ValueError, httpx2.InvalidURL) as fault:
            raise misuse(f"API_URL or the settings of a proxy are not usable: {fault}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, query: Query = (), headers: Mapping[str, str] | None = None) -> Reply:
        """Reads; a Failure unless the server answers with success."""
        return self._ask(Ask("GET", path, query, None, headers or {}))

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Query = (),
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Reply:
        """Writes. POST and PATCH carry an Idempotency-Key (`key`, else a new one), so retrying them is harmless."""
        keyed = {"Idempotency-Key": key or str(uuid4())} if method in ("POST", "PATCH") else {}
        return self._ask(Ask(method, path, query, body, {**keyed, **(headers or {})}))

    def lines(self, path: str, query: Query = ()) -> Iterator[str]:
        """The lines of a long answer as they come, however long that takes; a Failure unless it is a success."""
        with self.stream("GET", path, query) as response:
            yield from response.iter_lines()

    @contextmanager
    def stream(self, method: str, path: str, query: Query = (), **sent: Any) -> Iterator[httpx2.Response]:
        """A long answer, or one to a long body; a Failure unless it is a success. Nothing is tried again."""
        sent.setdefault("timeout", httpx2.Timeout(None, connect=CONNECT_SECONDS))
        try:
            with self._http.stream(method, path, params=list(query), **sent) as response:
                if not response.is_success:
                    deadline = time.monotonic() + self._place.timeout
                    content = read_all(response, deadline)
                    raise refusal(Reply(response.status_code, dict(response.headers), content))
                yield response
        except httpx2.RequestError as fault:
            raise unreachable(f"{self._place.url} cannot be reached: {fault or type(fault).__name__}") from None

    def _ask(self, ask: Ask) -> Reply:
        reply = self._persist(ask)
        if isinstance(reply, Failure):
            raise reply
        if not 200 <= reply.status < 300:
            raise refusal(reply)
        return reply

    def _persist(self, ask: Ask) -> Reply | Failure:
        """Tries until there is an answer that another try would not change, or until time or tries are up."""
        deadline = time.monotonic() + self._place.timeout
        for pause in pauses(self._place.retries if ask.repeatable else 0):
            reply = self._try(ask, deadline)
            wait = pause_before_retry(reply, pause)
            if wait is None or time.monotonic() + wait >= deadline:
                return reply
            time.sleep(wait)
        return self._try(ask, deadline)

    def _try(self, ask: Ask, deadline: float) -> Reply | Failure:
        left = max(deadline - time.monotonic(), 0.001)
        try:
            return self._exchange(ask, httpx2.Timeout(left, connect=min(left, CONNECT_SECONDS)), deadline)
        except httpx2.TimeoutException:
            return unreachable(f"{self._place.url} does not answer in time")
        except httpx2.RequestError as fault:
            return unreachable(f"{self._place.url} cannot be reached: {fault or type(fault).__name__}")

    def _exchange(self, ask: Ask, timeout: httpx2.Timeout, deadline: float) -> Reply:
        body = None if ask.body is None else json.dumps(ask.body).encode()
        headers = {**ask.headers, **({"Content-Type": "application/json"} if body is not None else {})}
        with self._http.stream(
            ask.method, ask.path, params=list(ask.query), content=body, headers=headers, timeout=timeout
        ) as response:
            return Reply(response.status_code, dict(response.headers), read_all(response, deadline))


def read_all(response: httpx2.Response, deadline: float) -> bytes:
    """The whole body; a server that sends it drop by drop, or without end, is cut off."""
    content = bytearray()
    for chunk in response.iter_bytes():
        content += chunk
        if time.monotonic() > deadline:
            raise httpx2.ReadTimeout("The answer took too long")
        if len(content) > LARGEST_ANSWER_BYTES:
            raise httpx2.ReadError("The answer is too long")
    return bytes(content)


def pauses(retries: int) -> Iterator[float]:
    """Seconds before each retry: growing, and scattered so that many clients do not return at once."""
    for tried in range(retries):
        yield FIRST_PAUSE_SECONDS * 2.0**tried * uniform(0.75, 1.25)


def pause_before_retry(reply: Reply | Failure, pause: float) -> float | None:
    """How long to wait before trying again: as long as the server asks for; None when this answer stands."""
    if isinstance(reply, Failure):
        return pause
    if reply.status not in TRY_LATER:
        return None
    asked = reply.headers.get("retry-after", "")
    return float(asked) if asked.isdecimal() and asked.isascii() else pause


def unexpected(status: int | None = None) -> Failure:
    """The server says something that this release does not understand."""
    return Failure("The answer is not what this command expects", Exit.UNAVAILABLE, "UNEXPECTED_ANSWER", status)


def refusal(reply: Reply) -> Failure:
    """The server's own words, with the marks under which its operators find them."""
    code = reply.headers.get("x-error-code") or f"HTTP_{reply.status}"
    try:
        told = json.loads(reply.content)
    except (ValueError, RecursionError):
        told = None
    message = in_words(told) or f"The server answered {reply.status}"
    return Failure(message, exit_for(reply.status), code, reply.status, reply.headers.get("x-trace-id"), told)


def in_words(told: Any) -> str:
    """An error's body in one line; of a freeze also who declared it and when it ends."""
    if not isinstance(told, dict):
        return ""
    facts = [f"{said} {told[name]}" for name, said in (("who", "by"), ("until", "until")) if told.get(name)]
    why = next((told[name] for name in ("detail", "error", "title") if name in told), None)
    return ", ".join(part for part in (detail_in_words(why), *facts) if part)


def detail_in_words(detail: Any) -> str:
    """A text, or a list of what is wrong with which field."""
    if not isinstance(detail, list):
        return "" if detail is None else detail if isinstance(detail, str) else json.dumps(detail)
    faults = [fault for fault in detail if isinstance(fault, dict)]
    return "; ".join(f"{where(fault)}: {fault.get('msg', 'invalid')}" for fault in faults)


def where(fault: Mapping[str, Any]) -> str:
    """The field that a fault is about."""
    loc = fault.get("loc")
    return ".".join(str(part) for part in loc) if isinstance(loc, list) else "request"
