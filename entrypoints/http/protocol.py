"""HTTP/1.1 within limits: how large the head of a request may be, how slowly it and its answer may travel."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from adapters.tracing import new_traceparent, trace_id
from domain.errors import RollbookError
from entrypoints.http.errors import HeadTooLarge, Malformed, TooSlow, detail_errors, headers_of, status_of
from entrypoints.http.transport import Gathering


def bounded(head_bytes: int, seconds: float) -> type[HttpToolsProtocol]:
    """The protocol with these limits, on the head of each request and on the time that it and its answer may take."""

    class BoundedProtocol(Bounded):
        limits = (head_bytes, seconds)

    return BoundedProtocol


class Bounded(HttpToolsProtocol):
    """What is refused before the application sees it is answered in the shape of the application's refusals."""

    limits: tuple[int, float]
    deadline: asyncio.TimerHandle | None = None
    refusal: RollbookError | None = None
    in_head = True
    received = 0

    def connection_made(self, transport: Any) -> None:
        """A connection on which nothing comes ends too."""
        # Not a Transport by type: that class would define every method that Gathering lets through.
        super().connection_made(Gathering(transport, self.loop))  # type: ignore[arg-type]
        self.start_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self.stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Counts what comes until a head is complete, also what the parser keeps to itself."""
        if self.in_head:
            self.received += len(data)
            self.start_waiting()
        super().data_received(data)
        if self.in_head and self.received > self.limits[0]:
            self.refuse(HeadTooLarge(f"The head of the request exceeds {self.limits[0]} bytes"))

    def on_headers_complete(self) -> None:
        """The head is there: from here on the application watches the time."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.limits[0]:
            self.refusal = HeadTooLarge(f"The head of the request exceeds {self.limits[0]} bytes")
            raise self.refusal
        self.in_head, self.received = False, 0
        self.stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """What comes next is the head of another request."""
        self.in_head = True
        super().on_message_complete()

    def start_waiting(self) -> None:
        """Gives the head its time, from its first byte."""
        if self.deadline is None:
            self.deadline = self.loop.call_later(self.limits[1], self.give_up)

    def stop_waiting(self) -> None:
        """The time no longer matters."""
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def give_up(self) -> None:
        """The head took too long; an answer that is still under way goes first."""
        self.deadline = None
        if self.cycle is not None and not self.cycle.response_complete:
            self.start_waiting()
        elif self.received:
            self.refuse(TooSlow("The request did not arrive in time"))
        else:
            self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        """Ends an idle connection; who does not take their answer loses it after a time."""
        if self.transport.get_write_buffer_size():
            self.loop.call_later(self.limits[1], self.transport.abort)
        super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """What the parser, or a limit, refused."""
        self.refuse(self.refusal or Malformed(msg))

    def refuse(self, refusal: RollbookError) -> None:
        """Answers and hangs up; a request that was complete before gets its own answer."""
        if self.transport.is_closing():
            return
        if self.in_head and self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
            return
        status = status_of(refusal)
        told = detail_errors.write(refusal, status)
        headers = headers_of(refusal, trace_id(new_traceparent(None))) | {
            "content-type": told.media_type,
            "content-length": str(len(told.body)),
            "connection": "close",
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(STATUS_LINE[status] + lines.encode() + b"\r\n" + told.body)
        self.transport.close()
