"""HTTP/1.1 within limits: how large the head of a request may be, how slowly it and its answer may travel."""

import asyncio
from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from adapters.tracing import new_traceparent, trace_id
from domain.errors import RollbookError
from entrypoints.http.errors import HeadTooLarge, Malformed, TooSlow, detail_errors, headers_of, status_of
from entrypoints.http.streaming import HANG_UP
from entrypoints.http.transport import Gathering

PARTING_SECONDS = 5.0


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
    cycles: Sequence[RequestResponseCycle] = ()
    in_head = True
    received = 0

    def connection_made(self, transport: Any) -> None:
        """A connection on which nothing comes ends too."""
        # Not a Transport by type: that class would define every method that Gathering lets through.
        super().connection_made(Gathering(transport, self.loop))  # type: ignore[arg-type]
        self.start_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more, and nobody answers requests that came behind one another."""
        self.stop_waiting()
        super().connection_lost(exc)
        self.cut_off()

    def cut_off(self) -> None:
        """Tells all who still answer that nobody listens."""
        for cycle in self.cycles:
            cycle.disconnected = cycle.disconnected or not cycle.response_complete
            cycle.message_event.set()
        self.cycles = ()

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
        if self.cycle is not None:
            self.cycles = [cycle for cycle in (*self.cycles, self.cycle) if not cycle.response_complete]

    def on_message_begin(self) -> None:
        """Lets the application end the connection where nobody takes what it sends."""
        super().on_message_begin()
        self.scope["extensions"] = {HANG_UP: {"call": self.hang_up}}

    def hang_up(self, last_word: bytes) -> None:
        """Ends the connection behind what was sent; soon also when nobody takes that."""
        self.transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(last_word), last_word))
        self.transport.close()
        self.loop.call_later(PARTING_SECONDS, self.transport.abort)
        self.cut_off()
        self.flow.resume_writing()

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


class BoundedSocket(WebSocketsSansIOProtocol):
    """A WebSocket that ends in time, whether or not the other side takes part."""

    async def send(self, message: Any) -> None:
        """Who takes nothing any more is told so all the same, behind what was sent, and has a moment to read it."""
        if message["type"] == "websocket.close":
            self.writable.set()
            self.loop.call_later(PARTING_SECONDS, self.transport.abort)
        await super().send(message)

    def keepalive_timeout(self) -> None:
        """Who does not answer a ping is not waited for."""
        super().keepalive_timeout()
        self.transport.abort()
