"""GitHub in trouble: its faults are told as such and never held against a token."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from adapters.identity.github import GitHubTokens
from adapters.identity.web import MAX_ANSWER_BYTES, Web
from domain.errors import RollbookError, Unavailable
from tests.identity.entrance import Entrance
from tests.identity.providers import Clock, Providers

Member = Callable[..., str]

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def refusal(entrance: Entrance, kind: type[RollbookError], token: str, organisation: str | None) -> str:
    with pytest.raises(kind) as refused:
        await entrance.knock(token, organisation)
    return refused.value.message


@pytest.mark.parametrize(
    "limited",
    [
        Response(status_code=429),
        Response(status_code=403, headers={"X-RateLimit-Remaining": "0"}),
        Response(status_code=403, headers={"Retry-After": "30"}),
        Response('{"message":"You have exceeded a secondary rate limit"}', status_code=403),
    ],
)
@pytest.mark.parametrize("path", ["answer", "orgs_answer"])
async def test_a_rate_limit_is_no_refusal(entrance: Entrance, member: Member, path: str, limited: Response) -> None:
    token = member("ghp_a", acme=42)
    setattr(entrance.providers, path, limited)
    message = await refusal(entrance, Unavailable, token, "acme")
    assert message == "Unable to verify GitHub token: its rate limit is reached"
    setattr(entrance.providers, path, None)
    assert await entrance.knock(token, "acme")


async def test_a_rate_limit_tells_when_to_come_back(entrance: Entrance) -> None:
    entrance.providers.answer = Response(status_code=429, headers={"Retry-After": "77"})
    with pytest.raises(Unavailable) as refused:
        await entrance.knock("ghp_a", "acme")
    assert refused.value.retry_after == 77


@pytest.mark.parametrize("status", [404, 418, 500, 502, 503])
async def test_a_fault_of_github_is_not_held_against_the_token(entrance: Entrance, member: Member, status: int) -> None:
    token = member("ghp_a", acme=42)
    entrance.providers.answer = Response(status_code=status)
    message = await refusal(entrance, Unavailable, token, "acme")
    assert message == f"Unable to verify GitHub token: GitHub answered {status}"
    entrance.providers.answer = None
    assert await entrance.knock(token, "acme")


async def test_a_redirect_is_not_followed_with_the_token(entrance: Entrance, member: Member) -> None:
    token = member("ghp_a", acme=42)
    entrance.providers.answer = RedirectResponse("/moved/user")
    message = await refusal(entrance, Unavailable, token, "acme")
    assert message == "Unable to verify GitHub token: GitHub answered 307"
    assert entrance.providers.asked == ["/user"]


@pytest.mark.parametrize("body", [b"<html>", b"\xff\xfe", b"[" * 100_000, b""])
async def test_an_answer_that_is_not_json_is_a_fault_of_github(entrance: Entrance, body: bytes) -> None:
    entrance.providers.answer = Response(body)
    message = await refusal(entrance, Unavailable, "ghp_a", "acme")
    assert message == "Unable to verify GitHub token: the answer is not JSON"


async def test_an_endless_answer_is_cut_off(entrance: Entrance) -> None:
    entrance.providers.answer = Response(b" " * (MAX_ANSWER_BYTES + 1))
    message = await refusal(entrance, Unavailable, "ghp_a", "acme")
    assert message == "Unable to verify GitHub token: the answer is too large"


async def test_organisations_that_are_no_list_are_a_fault_of_github(entrance: Entrance, member: Member) -> None:
    token = member("ghp_a")
    entrance.providers.orgs_answer = JSONResponse({"login": "acme"})
    message = await refusal(entrance, Unavailable, token, "acme")
    assert message == "Unable to verify GitHub token: the list of organisations cannot be read"


async def test_a_slow_github_is_given_up(providers: Providers) -> None:
    providers.pause = asyncio.Event()
    async with Web(seconds=0.2) as web:
        github = GitHubTokens(providers.url, "2022-11-28", web, Clock(), membership_ttl=300)
        with pytest.raises(Unavailable, match="Unable to verify GitHub token: no answer in time"):
            await github.membership("ghp_a", "acme")
    providers.pause.set()


async def drops() -> AsyncIterator[bytes]:
    for _ in range(400):
        yield b" "
        await asyncio.sleep(0.05)


async def test_a_github_that_answers_drop_by_drop_is_given_up(providers: Providers) -> None:
    providers.answer = StreamingResponse(drops())
    async with Web(seconds=0.2) as web:
        github = GitHubTokens(providers.url, "2022-11-28", web, Clock(), membership_ttl=300)
        with pytest.raises(Unavailable, match="Unable to verify GitHub token: no answer in time"):
            await github.membership("ghp_a", "acme")


async def test_a_github_out_of_reach_is_told_without_the_token() -> None:
    async with Web(seconds=5) as web:
        github = GitHubTokens("http://127.0.0.1:1", "2022-11-28", web, Clock(), membership_ttl=300)
        with pytest.raises(Unavailable, match="Unable to verify GitHub token: the connection failed") as refused:
            await github.membership("ghp_canaryCANARYcanary", "acme")
    assert refused.value.__cause__ is None and refused.value.__context__ is None
