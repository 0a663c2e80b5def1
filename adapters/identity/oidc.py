"""Tokens of OIDC issuers: which issuer signed one, whether it holds now, and what it claims."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from adapters.identity.cache import Clock, TimedCache
from adapters.identity.jwks import SigningKeys
from adapters.identity.web import Web
from application.caller import Role
from domain.errors import Unauthenticated

ALGORITHM = "RS256"
LEEWAY_SECONDS = 30
MAX_TOKEN_BYTES = 16 * 1024
VERIFIED_SECONDS = 60.0
VERIFIED_CAPACITY = 4096


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An issuer whose tokens are believed, and the claims that tell what we need.

    `jwks_uri` None means that the issuer's discovery document names it. `owner_id_claim` is only for an issuer whose
    organisations carry GitHub's own ids. `organisations` (lower-case), unless empty, are the only ones that the issuer
    may speak for, and for them it is believed whoever their owner is. `vouches` is whether the issuer itself stands
    behind a name for which it claims no owner id.
    """

    issuer: str
    audience: str
    jwks_uri: str | None = None
    organisation_claim: str = "repository_owner"
    repository_claim: str = "repository"
    workflow_claim: str = "workflow"
    actor_claim: str = "actor"
    owner_id_claim: str | None = None
    role: Role = Role.DEPLOYER
    organisations: frozenset[str] = frozenset()
    vouches: bool = True


def github_actions(issuer: str, audience: str) -> TrustedIssuer:
    """GitHub's own issuer, or a GitHub Enterprise Server's."""
    keys = f"{issuer.rstrip('/')}/.well-known/jwks"
    return TrustedIssuer(issuer, audience, jwks_uri=keys, owner_id_claim="repository_owner_id", vouches=False)


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """A token that was found good; `expires_at` is in seconds since 1970."""

    issuer: TrustedIssuer
    claims: Mapping[str, Any]
    expires_at: float


class OidcTokens:
    """Verifies tokens of the trusted issuers.

    A verdict of good is remembered by the token's hash for at most 60 seconds and never past its expiry.
    """

    def __init__(self, issuers: Iterable[TrustedIssuer], web: Web, clock: Clock, keys_ttl: float) -> None:
        self._clock = clock
        self._issuers: dict[str, tuple[TrustedIssuer, SigningKeys]] = {}
        self._verified: TimedCache[bytes, VerifiedToken] = TimedCache(VERIFIED_CAPACITY, clock)
        for each in issuers:
            if each.issuer in self._issuers:
                raise ValueError(f"OIDC issuer {each.issuer} is named twice")
            self._issuers[each.issuer] = (each, SigningKeys(each.issuer, each.jwks_uri, web, clock, keys_ttl))

    async def verify(self, token: str) -> VerifiedToken:
        """Raises Unauthenticated, or Unavailable while the issuer's keys could not be had yet."""
        digest = hashlib.sha256(token.encode()).digest()
        verified = self._verified.get(digest)
        if verified is None:
            verified = await self._judged(token)
            self._verified.put(digest, verified, min(VERIFIED_SECONDS, verified.expires_at - self._clock()))
        return verified

    async def aclose(self) -> None:
        for _, keys in self._issuers.values():
            await keys.aclose()

    async def _judged(self, token: str) -> VerifiedToken:
        key_id, issuer_name = _announced(token)
        trusted = self._issuers.get(issuer_name)
        if trusted is None:
            raise _invalid("Invalid issuer")
        issuer, keys = trusted
        key = await keys.find(key_id)
        if key is None:
            raise Unauthenticated("Unable to find matching signing key")
        claims = _signed_claims(token, key, issuer)
        return VerifiedToken(issuer, claims, _valid_until(claims, self._clock()))


def _announced(token: str) -> tuple[str, str]:
    """The key id and the issuer that the token names, not verified yet."""
    if len(token) > MAX_TOKEN_BYTES:
        raise _invalid("Token is too long")
    header_part, claims_part, _ = token.split(".")
    header = _json_object(header_part)
    key_id = _checked_key_id(header)
    issuer = _json_object(claims_part).get("iss")
    if issuer is None:
        raise _invalid('Token is missing the "iss" claim')
    return key_id, issuer if isinstance(issuer, str) else ""


def _checked_key_id(header: Mapping[str, Any]) -> str:
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not key_id:
        raise Unauthenticated("Token missing key ID (kid)")
    if header.get("alg") != ALGORITHM:
        raise _invalid("The specified alg value is not allowed")
    # No extension is understood here, so one that must be understood is a refusal. Keys that a header
    # brings along (jwk, jku, x5u, x5c) are never looked at.
    if "crit" in header or "b64" in header:
        raise _invalid("Unsupported critical extension")
    return key_id


def _json_object(part: str) -> Mapping[str, Any]:
    try:
        value = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, Mapping):
        raise _invalid("Token cannot be decoded")
    return value


def _signed_claims(token: str, key: RSAPublicKey, issuer: TrustedIssuer) -> Mapping[str, Any]:
    try:
        # The times are judged by our own clock afterwards.
        return jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=issuer.audience,
            issuer=issuer.issuer,
            options={"require": ["iss", "aud", "exp"], "verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
    except jwt.PyJWTError as error:
        reason = _words(error)
    # Raised here, so that no cause holds a part of the token.
    raise _invalid(reason)


def _words(error: jwt.PyJWTError) -> str:
    match error:
        case jwt.MissingRequiredClaimError():
            return f'Token is missing the "{error.claim}" claim'
        case jwt.InvalidAudienceError():
            return "Audience doesn't match"
        case jwt.InvalidIssuerError():
            return "Invalid issuer"
        case jwt.InvalidSignatureError():
            return "Signature verification failed"
    return "Token cannot be decoded"


def _valid_until(claims: Mapping[str, Any], now: float) -> float:
    expires_at = _seconds(claims, "exp", now)
    if expires_at <= now:
        raise _invalid("Signature has expired")
    for name in ("nbf", "iat"):
        if _seconds(claims, name, now) > now + LEEWAY_SECONDS:
            raise _invalid(f"The token is not yet valid ({name})")
    return expires_at


def _seconds(claims: Mapping[str, Any], name: str, absent: float) -> float:
    value = claims.get(name, absent)
    # Far beyond any date and not a number (Infinity, NaN) are no times either.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        raise _invalid(f"Claim {name} must be a number of seconds")
    return float(value)


def _invalid(reason: str) -> Unauthenticated:
    return Unauthenticated(f"Invalid OIDC token: {reason}")
