"""Who sends a request: chooses by the kind of bearer token how the caller is found out."""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from typing import Literal

import structlog

from adapters.identity.cache import Clock
from adapters.identity.claims import caller_of, organisation_claimed
from adapters.identity.github import GitHubTokens
from adapters.identity.names import MAX_NAME, is_name
from adapters.identity.oidc import OidcTokens
from application.caller import Caller, Role
from application.ports.identity import KnownToken, TokenDirectory
from domain.errors import Forbidden, Invalid, RollbookError, Unauthenticated

ROLLBOOK_PREFIX = "rbk_"
MAX_ROLLBOOK_TOKEN = 512

# GitHub's newer tokens hold a JWT behind their prefix, and are no OIDC tokens.
_GITHUB_TOKEN = re.compile(r"gh[a-z]_|github_pat_")
_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")

Method = Literal["none", "oidc", "pat", "token", "off"]

log = structlog.get_logger()


class Authentication:
    """Turns a request's headers into its caller.

    `allowed` empty allows every organisation; while `enabled` is false nobody is asked for a token.
    `count` is told the method and the success of each attempt.
    """

    def __init__(
        self,
        *,
        enabled: bool,
        default_organisation: str,
        allowed: Collection[str],
        oidc: OidcTokens,
        github: GitHubTokens,
        tokens: TokenDirectory,
        clock: Clock,
        count: Callable[[str, bool], None],
    ) -> None:
        self._enabled = enabled
        self._default_organisation = default_organisation
        self._allowed = frozenset(name.lower() for name in allowed)
        self._oidc = oidc
        self._github = github
        self._tokens = tokens
        self._clock = clock
        self._count = count

    async def authenticate(self, headers: Mapping[str, str]) -> Caller:
        """The caller, their `origin.interface` still to be set; `headers` are found by lower-case names.

        Raises Unauthenticated, Forbidden, Invalid or Unavailable.
        """
        bearer = _bearer(headers)
        method = self._method(bearer)
        try:
            caller = await self._caller(method, bearer, headers)
        except RollbookError as refusal:
            self._count(method, False)
            # The message may name a person, so only its code is logged.
            log.info("authentication.refused", method=method, code=refusal.code)
            raise
        self._count(method, True)
        return caller

    async def aclose(self) -> None:
        await self._oidc.aclose()
        await self._github.aclose()

    def _method(self, bearer: str) -> Method:
        if not self._enabled:
            return "off"
        if not bearer:
            return "none"
        if bearer.startswith(ROLLBOOK_PREFIX):
            return "token"
        is_jwt = _JWT.fullmatch(bearer) and not _GITHUB_TOKEN.match(bearer)
        return "oidc" if is_jwt else "pat"

    async def _caller(self, method: Method, bearer: str, headers: Mapping[str, str]) -> Caller:
        match method:
            case "off":
                return self._anybody(headers)
            case "none":
                raise Unauthenticated("Missing authorization header")
            case "oidc":
                return await self._of_oidc_token(bearer)
            case "token":
                return await self._of_rollbook_token(bearer)
            case "pat":
                return await self._of_github_token(bearer, headers)

    def _anybody(self, headers: Mapping[str, str]) -> Caller:
        named = headers.get("x-organisation")
        organisation = self._default_organisation if named is None else _organisation_named(named)
        tenant = organisation.lower()
        return Caller(tenant, "local-dev", Role.ADMIN, "off", f"{tenant}/local", "local-dev")

    async def _of_oidc_token(self, bearer: str) -> Caller:
        verified = await self._oidc.verify(bearer)
        caller = caller_of(verified)
        self._require_allowed(organisation_claimed(verified))
        return caller

    async def _of_github_token(self, bearer: str, headers: Mapping[str, str]) -> Caller:
        if not headers.get("x-organisation", "").strip():
            raise Invalid("X-Organisation header required for CLI authentication")
        organisation = _organisation_named(headers["x-organisation"])
        member = await self._github.membership(bearer, organisation)
        self._require_allowed(organisation)
        tenant = organisation.lower()
        return Caller(
            organisation=tenant,
            login=member.login,
            role=Role.DEPLOYER,
            method="pat",
            repository=f"{tenant}/cli",
            workflow="cli",
            organisation_id=member.organisation_id,
        )

    async def _of_rollbook_token(self, bearer: str) -> Caller:
        token = await self._known(bearer)
        if token is None or self._is_over(token):
            raise Unauthenticated("Invalid API token")
        self._require_allowed(token.organisation)
        tenant = token.organisation.lower()
        return Caller(
            organisation=tenant,
            login=token.name,
            role=token.role,
            method="token",
            repository=f"{tenant}/token",
            workflow="token",
            claims={"token_id": str(token.token_id), "owner": token.owner},
            scope=token.scope,
        )

    async def _known(self, bearer: str) -> KnownToken | None:
        if len(bearer) > MAX_ROLLBOOK_TOKEN or not bearer.isascii():
            return None
        return await self._tokens.find(hashlib.sha256(bearer.encode()).digest())

    def _is_over(self, token: KnownToken) -> bool:
        return token.expires_at is not None and token.expires_at.timestamp() <= self._clock()

    def _require_allowed(self, organisation: str) -> None:
        if self._allowed and organisation.lower() not in self._allowed:
            raise Forbidden(f"Organisation '{organisation}' is not allowed")


def _bearer(headers: Mapping[str, str]) -> str:
    """The bearer token; empty when there is none or the scheme is another."""
    scheme, _, token = headers.get("authorization", "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _organisation_named(header: str) -> str:
    try:
        # HTTP gives bytes, shown as Latin-1; people write UTF-8.
        name = header.strip().encode("latin-1").decode()
    except UnicodeError:
        name = ""
    if not is_name(name):
        raise Invalid(f"X-Organisation must be 1 to {MAX_NAME} printable characters")
    return name
