"""GitHub personal access tokens: whose they are, and whether they show membership of an organisation."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.identity.cache import Clock, SharedCalls, TimedCache
from adapters.identity.names import is_name
from adapters.identity.web import Answer, Unfetched, Web
from domain.errors import Forbidden, Unauthenticated, Unavailable

MAX_TOKEN_BYTES = 8 * 1024
PER_PAGE = 100
MAX_PAGES = 50
LOOK_UP_SECONDS = 20.0
REFUSED_SECONDS = 30.0
CAPACITY = 10_000
MAX_RETRY_AFTER = 3600


@dataclass(frozen=True, slots=True)
class Membership:
    """A token's user and the organisation that they belong to; `organisation_id` is GitHub's number as text."""

    login: str
    organisation_id: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a token was refused, kept instead of the exception, which would hold the frames that it passed."""

    kind: type[Unauthenticated] | type[Forbidden]
    message: str


INVALID = Refusal(Unauthenticated, "Invalid GitHub token")
NAMELESS = Refusal(Unauthenticated, "Unable to get username from GitHub token")


class GitHubTokens:
    """Asks GitHub about tokens, and remembers the answers by each token's hash.

    A membership is kept for `membership_ttl` seconds, a refusal for 30; an outage is never remembered.
    """

    def __init__(self, api_url: str, api_version: str, web: Web, clock: Clock, membership_ttl: float) -> None:
        self._root = api_url.rstrip("/")
        self._api_version = api_version
        self._web = web
        self._membership_ttl = membership_ttl
        self._refused: TimedCache[bytes, Refusal] = TimedCache(CAPACITY, clock)
        self._judged: TimedCache[tuple[bytes, str], Membership | Refusal] = TimedCache(CAPACITY, clock)
        self._look_ups: SharedCalls[tuple[bytes, str], Membership | Refusal] = SharedCalls()

    async def membership(self, token: str, organisation: str) -> Membership:
        """Raises Unauthenticated for a bad token, Forbidden for a stranger, Unavailable when GitHub cannot tell."""
        verdict = await self._verdict(token, organisation) if _is_possible(token) else INVALID
        if isinstance(verdict, Refusal):
            raise verdict.kind(verdict.message)
        return verdict

    async def aclose(self) -> None:
        await self._look_ups.aclose()

    async def _verdict(self, token: str, organisation: str) -> Membership | Refusal:
        key = (hashlib.sha256(token.encode()).digest(), organisation.lower())
        known = self._refused.get(key[0]) or self._judged.get(key)
        if known is not None:
            return known
        return await self._look_ups.once(key, lambda: self._look_up(key, token, organisation))

    async def _look_up(self, key: tuple[bytes, str], token: str, organisation: str) -> Membership | Refusal:
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                verdict = await self._asked(token, organisation)
        except Unfetched as failure:
            reason = str(failure)
        except TimeoutError:
            reason = "no answer in time"
        else:
            self._remember(key, verdict)
            return verdict
        raise _unverified(reason)

    def _remember(self, key: tuple[bytes, str], verdict: Membership | Refusal) -> None:
        if isinstance(verdict, Membership):
            self._judged.put(key, verdict, self._membership_ttl)
        elif verdict.kind is Unauthenticated:
            self._refused.put(key[0], verdict, REFUSED_SECONDS)
        else:
            self._judged.put(key, verdict, REFUSED_SECONDS)

    async def _asked(self, token: str, organisation: str) -> Membership | Refusal:
        answer = await self._get(token, "/user")
        if _is_refused(answer):
            return INVALID
        login = _login(answer.json())
        if login is None:
            return NAMELESS
        return await self._found(token, login, organisation)

    async def _found(self, token: str, login: str, organisation: str) -> Membership | Refusal:
        for page in range(1, MAX_PAGES + 1):
            answer = await self._get(token, f"/user/orgs?page={page}&per_page={PER_PAGE}")
            if _is_refused(answer):
                return INVALID
            page_of_organisations = _list(answer.json())
            ids = _ids_by_name(page_of_organisations)
            if organisation.lower() in ids:
                return Membership(login, ids[organisation.lower()])
            if not _has_more(answer, len(page_of_organisations)):
                break
        return Refusal(Forbidden, f"User '{login}' is not a member of organisation '{organisation}'")

    async def _get(self, token: str, path: str) -> Answer:
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": self._api_version,
            "User-Agent": "rollbook",
        }
        answer = await self._web.get(self._root + path, headers)
        if _is_rate_limited(answer):
            raise _unverified("its rate limit is reached", _retry_after(answer))
        if answer.status not in (200, 401, 403):
            raise _unverified(f"GitHub answered {answer.status}")
        return answer


def _is_possible(token: str) -> bool:
    return len(token) <= MAX_TOKEN_BYTES and token.isascii() and token.isprintable() and " " not in token


def _is_refused(answer: Answer) -> bool:
    return answer.status in (401, 403)


def _is_rate_limited(answer: Answer) -> bool:
    if answer.status == 429:
        return True
    headers = answer.headers
    named = "retry-after" in headers or headers.get("x-ratelimit-remaining", "").strip() == "0"
    return answer.status == 403 and (named or b"rate limit" in answer.body.lower())


def _retry_after(answer: Answer) -> int:
    text = answer.headers.get("retry-after", "")
    seconds = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 60
    return max(1, min(seconds, MAX_RETRY_AFTER))


def _has_more(answer: Answer, count: int) -> bool:
    return count > 0 and (count >= PER_PAGE or 'rel="next"' in answer.headers.get("link", ""))


def _login(user: Any) -> str | None:
    login = user.get("login") if isinstance(user, Mapping) else None
    return login if isinstance(login, str) and is_name(login) else None


def _list(page: Any) -> list[Any]:
    if not isinstance(page, list):
        raise Unfetched("the list of organisations cannot be read")
    return page


def _ids_by_name(organisations: list[Any]) -> dict[str, str | None]:
    return {name.lower(): _id(entry) for entry in organisations if (name := _login(entry)) is not None}


def _id(entry: Mapping[str, Any]) -> str | None:
    number = entry.get("id")
    return str(number) if isinstance(number, int) and not isinstance(number, bool) else None


def _unverified(reason: str, retry_after: int = 1) -> Unavailable:
    return Unavailable(f"Unable to verify GitHub token: {reason}", retry_after=retry_after)
