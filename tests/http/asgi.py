"""A small API of this layer, and a client that can send what no decent client sends."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, Field

from adapters.tracing import new_traceparent
from application.caller import Caller, Role
from domain.errors import Forbidden, Frozen, Unauthenticated
from entrypoints.http.api import Api, Hooks, Limits
from entrypoints.http.documentation import documentation
from entrypoints.http.errors import detail_errors, problem_details
from entrypoints.http.routing import Answer, Call, Interface, answer

LIMITS = Limits(body_bytes=2000, json_depth=8, seconds=5)


class Part(BaseModel):
    """One of several."""

    weight: int


class Thing(BaseModel):
    """What is sent."""

    name: str
    amount: Annotated[int, Field(le=10)] = 1
    parts: list[Part] = []
    facts: dict[str, Any] = {}


class Search(BaseModel):
    """What is asked for."""

    limit: int = Field(default=100, ge=0, le=1000)
    colour: list[str] | None = None
    text: str | None = None


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as a value."""
        return orjson.loads(self.body)


class Shop:
    """An API of two interfaces; it notes what was counted and who was let in."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.observed: list[tuple[str, str, int]] = []
        self.authorised: list[str] = []
        self.refusal: Exception | None = None
        self.losses = 0
        self.losing = 0
        self.read = 0
        interfaces = [shop_interface(self), own_interface()]
        hooks = Hooks(self.authenticate, self.authorise, self.observe, new_traceparent, lambda: self.losses)
        self.api = Api([*interfaces, documentation(interfaces)], self, hooks, limits)

    async def authenticate(self, call: Call) -> Caller:
        """Anybody with a token."""
        if "authorization" not in call.headers:
            raise Unauthenticated("Missing authorization header")
        return Caller("acme", "ann", Role.DEPLOYER, "pat", "acme/cli", "cli")

    async def authorise(self, call: Call, action: str) -> None:
        """Everything but what is forbidden."""
        self.authorised.append(action)
        if action == "thing.forbidden":
            raise Forbidden("You may not")

    def observe(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """Notes what is counted."""
        assert seconds >= 0
        self.observed.append((method, endpoint, status))

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes | Sequence[bytes] = b"",
        *,
        query: bytes = b"",
        headers: dict[str, str] | None = None,
        leaves: bool = False,
        stalls: bool = False,
    ) -> Reply:
        """One request in chunks; a client that `leaves` or `stalls` never finishes its body."""
        chunks = [body] if isinstance(body, bytes) else list(body)
        messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
        if not stalls:
            messages.append({"type": "http.disconnect"} if leaves else {"type": "http.request", "more_body": False})
        sent: list[Any] = []

        async def receive() -> Any:
            return messages.pop(0) if messages else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        await self.api(scope(method, path, query, {"authorization": "Bearer x"} | (headers or {})), receive, send)
        return reply_of(sent)


def scope(method: str, path: str, query: bytes, headers: dict[str, str]) -> dict[str, Any]:
    """A request as the server passes it on; a header that is empty is left out."""
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items() if value]
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "headers": pairs,
        "client": ("192.0.2.1", 1),
    }


def reply_of(sent: list[Any]) -> Reply:
    """The answer out of its messages."""
    headers = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return Reply(sent[0]["status"], headers, sent[1]["body"])


def shop_interface(shop: Shop) -> Interface:
    """Routes with `detail` errors."""
    things = Interface("things", "/v1", detail_errors)

    @things.post("/v1/streams", action="thing.create", answer=int, consumes=("application/octet-stream",))
    async def measure(call: Call) -> Answer:
        """Count the bytes of a body of any length."""
        assert call.chunks is not None
        return answer(sum([len(chunk) async for chunk in call.chunks]))

    @things.post("/v1/things", action="thing.create", answer=Thing, status=201)
    async def create(call: Call, body: Thing) -> Answer:
        """Keep a thing."""
        return answer(body.model_dump(), 201)

    @things.get("/v1/things", action="thing.read", answer=list[Thing])
    async def search(call: Call, query: Search) -> Answer:
        """Search things."""
        return answer(query.model_dump())

    @things.get("/v1/things/{name}", action="thing.read", answer=Thing)
    async def show(call: Call, name: str) -> Answer:
        """Show a thing."""
        return answer({"name": name, "caller": call.caller.login})

    @things.get("/v1/forbidden", action="thing.forbidden")
    async def forbidden(call: Call, query: Search) -> Answer:
        """Nobody may."""
        return answer({})

    @things.post("/v1/refused", action="thing.refused")
    async def refused(call: Call) -> Answer:
        """Raises what the test chose."""
        assert shop.refusal is not None
        raise shop.refusal

    @things.get("/v1/shaken", action="thing.read", answer=int)
    @things.post("/v1/shaken", action="thing.create", answer=int)
    async def shaken(call: Call) -> Answer:
        """Loses the store as often as the test chose, and may refuse then; says how often it was asked."""
        shop.read += 1
        if shop.losing:
            shop.losing, shop.losses = shop.losing - 1, shop.losses + 1
            if shop.refusal:
                raise shop.refusal
        return answer(shop.read)

    @things.get("/v1/slow", action="thing.read")
    async def slow(call: Call) -> Answer:
        """Never answers."""
        await asyncio.Event().wait()
        return answer({})

    return things


def own_interface() -> Interface:
    """Routes with problem details."""
    own = Interface("own", "/own", problem_details)

    @own.get("/own/frozen", action="own.read")
    async def frozen(call: Call) -> Answer:
        """Always frozen."""
        raise Frozen("Frozen for the holidays", who="ann", why="holidays", until=None, freeze_id="f")

    return own
