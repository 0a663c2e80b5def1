"""Posts to one address, over connections that go only where they may: no redirects, no proxies, no second look-up."""

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Any, Self

import httpcore2

from adapters.webhooks.addresses import Addresses, OffLimits, Target, target_of
from domain.errors import Invalid

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 10.0
# What a receiver says beyond its status is nobody's business; so much is read for the connection to go on.
READ_BYTES = 1024
MOST_ADDRESSES = 4
LONGEST_WAIT = 86_400
FAULTS = (
    *(OffLimits, TimeoutError, OSError, httpcore2.TimeoutException),
    *(httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one try: a status, or a problem in words that hold nothing of the address or the answer.

    `retry_after` is in seconds, where the receiver asked for a pause.
    """

    status: int | None
    problem: str | None
    milliseconds: int
    retry_after: int | None = None

    @property
    def ok(self) -> bool:
        """Whether the receiver has it."""
        return self.problem is None


class CheckedNetwork(httpcore2.AsyncNetworkBackend):
    """Looks names up itself, checks every address that it finds, and connects to those and no others."""

    def __init__(self, addresses: Addresses, target: Target) -> None:
        self.addresses = addresses
        self.target = target
        self.network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """A connection to the first address that takes one."""
        found = (await self.addresses.of(self.target))[:MOST_ADDRESSES]
        share = (timeout or CONNECT_SECONDS) / len(found)
        for address in found[:-1]:
            try:
                return await self.network.connect_tcp(address, self.target.port, share)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self.network.connect_tcp(found[-1], self.target.port, share)


class Poster:
    """Posts to one address for as long as it is open: a few seconds, so that names are looked up often."""

    def __init__(
        self, url: str, addresses: Addresses, tls: ssl.SSLContext | None = None, seconds: float = TOTAL_SECONDS
    ) -> None:
        self._url = url
        self._seconds = seconds
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=1,
            http1=True,
            http2=False,
            retries=0,
            network_backend=CheckedNetwork(addresses, target_of(url)),
        )

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """One try; whatever goes wrong is its outcome."""
        began = monotonic()
        try:
            async with asyncio.timeout(self._seconds):
                status, retry_after = await self._exchange(body, headers)
        except FAULTS as fault:
            return Outcome(None, in_words(fault), since(began))
        problem = None if 200 <= status < 300 else f"answered {status}"
        return Outcome(status, problem, since(began), retry_after)

    async def _exchange(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, int | None]:
        sent = {**headers, "host": target_of(self._url).shown, "content-length": str(len(body))}
        limits = {"connect": CONNECT_SECONDS, "read": self._seconds, "write": self._seconds, "pool": self._seconds}
        async with self._pool.stream(
            "POST", self._url, headers=list(sent.items()), content=body, extensions={"timeout": limits}
        ) as answer:
            read = 0
            async for part in answer.aiter_stream():
                read += len(part)
                if read >= READ_BYTES:
                    break
            return answer.status, pause_of(answer.headers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.aclose()


def since(began: float) -> int:
    """Milliseconds."""
    return int((monotonic() - began) * 1000)


def in_words(fault: BaseException) -> str:
    """What failed, without what the library says of it, which may repeat the address."""
    if isinstance(fault, OffLimits):
        return str(fault)
    if isinstance(fault, TimeoutError | httpcore2.TimeoutException):
        return "no answer in time"
    if cause := tls_fault(fault):
        untrusted = isinstance(cause, ssl.SSLCertVerificationError)
        return "the certificate is not the host's, or nobody vouches for it" if untrusted else "TLS failed"
    return "the answer is not HTTP" if isinstance(fault, httpcore2.ProtocolError) else "the connection failed"


def tls_fault(fault: BaseException | None) -> ssl.SSLError | None:
    """What TLS had against it, behind what the library made of that."""
    while fault is not None and not isinstance(fault, ssl.SSLError):
        fault = fault.__cause__ or fault.__context__
    return fault


def pause_of(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """The pause that the receiver asks for, in seconds, if it names one in that way."""
    for name, value in headers:
        if name.lower() == b"retry-after" and value.isdigit() and len(value) < 10:
            return min(int(value), LONGEST_WAIT)
    return None


async def check(url: str, addresses: Addresses) -> Target:
    """What the address names, if it may be subscribed with now; Invalid when not."""
    target = target_of(url)
    try:
        await addresses.of(target)
    except OffLimits as refusal:
        raise Invalid(f"url cannot be used: {refusal}") from None
    return target
