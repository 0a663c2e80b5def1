"""GET requests to identity providers, bounded in time and size, that never show a header in an error."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx2

MAX_ANSWER_BYTES = 1024 * 1024
CALL_SECONDS = 10.0
STEP_SECONDS = 5.0
MAX_CONNECTIONS = 20


class Unfetched(Exception):
    """A provider gave no usable answer; the text says why in words fit for anybody to read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer, whole; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body's value; raises Unfetched when it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            pass
        raise Unfetched("the answer is not JSON")


class Web:
    """A client without cookies and redirects; a call takes at most `seconds`, an answer 1 MiB."""

    def __init__(self, seconds: float = CALL_SECONDS) -> None:
        self._seconds = seconds
        self._client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(min(STEP_SECONDS, seconds)),
            limits=httpx2.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=30.0),
            follow_redirects=False,
        )

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Raises Unfetched when the provider is out of reach, too slow or says too much."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._read(url, dict(headers or {}))
        except Unfetched:
            raise
        except (TimeoutError, httpx2.TimeoutException):
            reason = "no answer in time"
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError, UnicodeError):
            reason = "the connection failed"
        # Raised here, not inside: a chained exception would hold the request, and that its headers.
        raise Unfetched(reason)

    async def _read(self, url: str, headers: dict[str, str]) -> Answer:
        # Uncompressed, so that the bound on bytes read is a bound on memory.
        headers["Accept-Encoding"] = "identity"
        async with self._client.stream("GET", url, headers=headers) as response:
            self._client.cookies.clear()
            body = bytearray()
            async for part in response.aiter_raw():
                body += part
                if len(body) > MAX_ANSWER_BYTES:
                    raise Unfetched("the answer is too large")
            return Answer(response.status_code, _lower_names(response.headers), bytes(body))

    async def aclose(self) -> None:
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _lower_names(headers: httpx2.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
