"""Stand-ins for GitHub's API and an OIDC issuer, spoken to over a real socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@dataclass
class Clock:
    """A time that passes only when told."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class SigningKey:
    """A key pair with its id."""

    kid: str
    private: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    def public_jwk(self) -> dict[str, Any]:
        jwk = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**jwk, "kid": self.kid, "use": "sig", "alg": "RS256"}

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        return jwt.encode(claims, self.private, algorithm="RS256", headers={"kid": self.kid, **header})


@dataclass
class Providers:
    """What the stand-ins say, and what they were asked.

    `users` maps a token to its login, `memberships` a token to its organisations with their ids; `answer` replaces
    every answer of the API; `keys` None is an issuer that fails.
    """

    url: str = ""
    keys: list[dict[str, Any]] | None = field(default_factory=list)
    discovery: dict[str, Any] | None = None
    users: dict[str, Any] = field(default_factory=dict)
    memberships: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    answer: Response | None = None
    orgs_answer: Response | None = None
    pause: asyncio.Event | None = None
    asked: list[str] = field(default_factory=list)
    seen_headers: list[dict[str, str]] = field(default_factory=list)

    def times_asked(self, path: str) -> int:
        return sum(1 for each in self.asked if each.partition("?")[0] == path)

    async def jwks(self, request: Request) -> Response:
        await self._note(request)
        return JSONResponse({"keys": self.keys}) if self.keys is not None else Response(status_code=500)

    async def openid(self, request: Request) -> Response:
        await self._note(request)
        return JSONResponse(self.discovery) if self.discovery is not None else Response(status_code=404)

    async def user(self, request: Request) -> Response:
        await self._note(request)
        known = self.users.get(_token(request))
        return self.answer or (JSONResponse(known) if known is not None else Response(status_code=401))

    async def organisations(self, request: Request) -> Response:
        await self._note(request)
        page, size = int(request.query_params["page"]), int(request.query_params["per_page"])
        mine = self.memberships.get(_token(request), [])
        return self.orgs_answer or JSONResponse(mine[(page - 1) * size : page * size])

    async def _note(self, request: Request) -> None:
        query = f"?{request.url.query}" if request.url.query else ""
        self.asked.append(request.url.path + query)
        self.seen_headers.append(dict(request.headers))
        if self.pause is not None:
            await self.pause.wait()


def _token(request: Request) -> str:
    return request.headers["authorization"].removeprefix("Bearer ")


@dataclass
class Stage:
    """Where the stand-ins of one test after another appear, always at the same address."""

    url: str
    current: Providers = field(default_factory=Providers)

    def begin(self) -> Providers:
        self.current = Providers(self.url)
        return self.current

    def _plays(self, part: str) -> Callable[[Request], Awaitable[Response]]:
        async def play(request: Request) -> Response:
            answer: Response = await getattr(self.current, part)(request)
            return answer

        return play

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/jwks", self._plays("jwks")),
                Route("/other/keys", self._plays("jwks")),
                Route("/.well-known/openid-configuration", self._plays("openid")),
                Route("/user", self._plays("user")),
                Route("/user/orgs", self._plays("organisations")),
            ]
        )


@asynccontextmanager
async def serving() -> AsyncIterator[Stage]:
    """The stand-ins on a free port of the loopback address."""
    # The protocol is named because asyncio sends small answers at once only on sockets that say they are TCP.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        stage = Stage(f"http://127.0.0.1:{listener.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(stage.application(), log_config=None, lifespan="off"))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield stage
        finally:
            server.should_exit = server.force_exit = True
            await asyncio.wait_for(running, 10)
