"""The public keys with which one issuer signs: fetched when needed, kept through outages."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm
from jwt.exceptions import PyJWTError

from adapters.identity.cache import Clock, SharedCalls
from adapters.identity.web import Answer, Unfetched, Web
from domain.errors import Unavailable

COOL_DOWN_SECONDS = 30.0
FIRST_FETCH_PAUSE_SECONDS = 1.0
MAX_KEYS = 100
MIN_KEY_BITS = 2048

log = structlog.get_logger()


class SigningKeys:
    """RS256 keys by their id.

    They are fetched at first use, again after `ttl` seconds, and when an id is unknown, which happens at most once
    in 30 seconds. A failed fetch keeps the keys that there are and is repeated after 30 seconds (1 without keys).
    """

    def __init__(self, issuer: str, jwks_uri: str | None, web: Web, clock: Clock, ttl: float) -> None:
        self._issuer = issuer
        self._jwks_uri = jwks_uri
        self._web = web
        self._clock = clock
        self._ttl = ttl
        self._keys: dict[str, RSAPublicKey] = {}
        self._stale_at = float("-inf")
        self._refetch_at = float("-inf")
        self._fetches: SharedCalls[str, None] = SharedCalls()

    async def find(self, key_id: str) -> RSAPublicKey | None:
        """The key, or None when the issuer has none with this id; Unavailable while no keys could be had at all."""
        if self._clock() >= self._stale_at:
            await self._fetch()
        elif self._keys and key_id not in self._keys:
            await self._fetch_for_unknown()
        if not self._keys:
            raise Unavailable("Unable to fetch signing keys")
        return self._keys.get(key_id)

    async def aclose(self) -> None:
        await self._fetches.aclose()

    async def _fetch_for_unknown(self) -> None:
        # Who comes while a fetch is under way waits for it: it may bring the key.
        if self._fetches.in_flight("keys"):
            await self._fetch()
        elif self._clock() >= self._refetch_at:
            self._refetch_at = self._clock() + COOL_DOWN_SECONDS
            await self._fetch()

    async def _fetch(self) -> None:
        await self._fetches.once("keys", self._renew)

    async def _renew(self) -> None:
        try:
            self._keys = _usable_keys((await self._answer()).json())
            self._stale_at = self._clock() + self._ttl
        except Unfetched as failure:
            log.warning("signing_keys.fetch_failed", issuer=self._issuer, reason=str(failure), kept=len(self._keys))
            pause = COOL_DOWN_SECONDS if self._keys else FIRST_FETCH_PAUSE_SECONDS
            self._stale_at = max(self._stale_at, self._clock() + pause)

    async def _answer(self) -> Answer:
        if self._jwks_uri is None:
            self._jwks_uri = await self._discovered()
        return _accepted(await self._web.get(self._jwks_uri))

    async def _discovered(self) -> str:
        root = self._issuer.rstrip("/")
        answer = await self._web.get(f"{root}/.well-known/openid-configuration")
        if answer.status == 404:
            return f"{root}/.well-known/jwks"
        return _announced_uri(_accepted(answer).json(), self._issuer)


def _accepted(answer: Answer) -> Answer:
    if answer.status != 200:
        raise Unfetched(f"the answer was {answer.status}")
    return answer


def _announced_uri(document: Any, issuer: str) -> str:
    if not isinstance(document, Mapping) or document.get("issuer") != issuer:
        raise Unfetched("the discovery document is another issuer's")
    uri = document.get("jwks_uri")
    if not isinstance(uri, str) or urlsplit(uri).scheme not in {"https", urlsplit(issuer).scheme}:
        raise Unfetched("the discovery document names no usable jwks_uri")
    return uri


def _usable_keys(document: Any) -> dict[str, RSAPublicKey]:
    entries = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(entries, list):
        raise Unfetched("the answer is not a key set")
    keys = {entry["kid"]: key for entry in entries[:MAX_KEYS] if (key := _rs256_key(entry)) is not None}
    if not keys:
        raise Unfetched("the key set holds no RS256 key")
    return keys


def _rs256_key(entry: Any) -> RSAPublicKey | None:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("kid"), str):
        return None
    if entry.get("kty") != "RSA" or entry.get("use", "sig") != "sig" or entry.get("alg", "RS256") != "RS256":
        return None
    key = _parsed(dict(entry))
    return key if isinstance(key, RSAPublicKey) and key.key_size >= MIN_KEY_BITS else None


def _parsed(entry: dict[str, Any]) -> Any:
    try:
        return RSAAlgorithm.from_jwk(entry)
    except (PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        return None
