"""GitHub personal access tokens: who gets in by one, and what GitHub is asked."""

import asyncio
from collections.abc import Callable

import pytest
from starlette.responses import JSONResponse, RedirectResponse, Response

from adapters.identity.github import GitHubTokens
from adapters.identity.web import MAX_ANSWER_BYTES, Web
from application.caller import Role
from domain.errors import Forbidden, Invalid, RollbookError, Unauthenticated, Unavailable
from tests.identity.entrance import Entrance
from tests.identity.providers import Clock, Providers

Member = Callable[..., str]
CANARY = "ghp_canaryCANARYcanary"

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def refusal(entrance: Entrance, kind: type[RollbookError], token: str, organisation: str | None) -> str:
    with pytest.raises(kind) as refused:
        await entrance.knock(token, organisation)
    return refused.value.message


async def test_a_member_is_a_deployer_of_the_organisation(entrance: Entrance, member: Member) -> None:
    caller = await entrance.knock(member("ghp_a", "octo", Acme=42), "ACME")
    assert (caller.organisation, caller.organisation_id, caller.login) == ("acme", "42", "octo")
    assert (caller.repository, caller.workflow) == ("acme/cli", "cli")
    assert (caller.role, caller.method) == (Role.DEPLOYER, "pat")


async def test_github_is_asked_in_its_own_words(entrance: Entrance, member: Member) -> None:
    await entrance.knock(member("ghp_a", acme=42), "acme")
    assert entrance.providers.asked == ["/user", "/user/orgs?page=1&per_page=100"]
    for headers in entrance.providers.seen_headers:
        assert headers["accept"] == "application/vnd.github+json"
        assert headers["x-github-api-version"] == "2022-11-28"


@pytest.mark.parametrize("organisation", [None, "", "  "])
async def test_the_organisation_must_be_named(entrance: Entrance, organisation: str | None) -> None:
    message = await refusal(entrance, Invalid, "ghp_a", organisation)
    assert message == "X-Organisation header required for CLI authentication"


async def test_an_organisation_on_a_later_page_is_found(entrance: Entrance, member: Member) -> None:
    others = {f"org{number}": number for number in range(250)}
    assert await entrance.knock(member("ghp_a", **others), "org249")
    assert entrance.providers.times_asked("/user/orgs") == 3


async def test_short_pages_are_followed_while_github_links_to_more(entrance: Entrance) -> None:
    entrance.providers.users["ghp_a"] = {"login": "octo"}
    entrance.providers.orgs_answer = JSONResponse([{"login": "one"}], headers={"Link": '<x>; rel="next"'})
    await refusal(entrance, Forbidden, "ghp_a", "acme")
    assert entrance.providers.times_asked("/user/orgs") == 50


async def test_a_stranger_is_refused(entrance: Entrance, member: Member) -> None:
    message = await refusal(entrance, Forbidden, member("ghp_a", "octo", widgets=1), "acme")
    assert message == "User 'octo' is not a member of organisation 'acme'"


async def test_nobody_is_a_member_of_their_own_login(entrance: Entrance, member: Member) -> None:
    await refusal(entrance, Forbidden, member("ghp_a", "octo"), "octo")


async def test_an_unknown_token_is_refused_and_remembered_for_thirty_seconds(entrance: Entrance) -> None:
    for organisation in ("acme", "acme", "widgets"):
        assert await refusal(entrance, Unauthenticated, "ghp_bad", organisation) == "Invalid GitHub token"
    assert entrance.providers.times_asked("/user") == 1
    entrance.clock.advance(30)
    await refusal(entrance, Unauthenticated, "ghp_bad", "acme")
    assert entrance.providers.times_asked("/user") == 2


@pytest.mark.parametrize("path", ["answer", "orgs_answer"])
@pytest.mark.parametrize("status", [401, 403])
async def test_a_token_that_github_refuses_is_invalid(
    entrance: Entrance, member: Member, path: str, status: int
) -> None:
    token = member("ghp_a", acme=42)
    setattr(entrance.providers, path, Response(status_code=status))
    assert await refusal(entrance, Unauthenticated, token, "acme") == "Invalid GitHub token"


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


@pytest.mark.parametrize("user", [{}, {"login": None}, {"login": 7}, {"login": ""}, ["octo"], "octo"])
async def test_a_user_without_a_login_is_refused(entrance: Entrance, user: object) -> None:
    entrance.providers.users["ghp_a"] = user
    assert await refusal(entrance, Unauthenticated, "ghp_a", "acme") == "Unable to get username from GitHub token"


@pytest.mark.parametrize("body", [b"<html>", b"\xff\xfe", b"[" * 100_000, b""])
async def test_an_answer_that_is_not_json_is_a_fault_of_github(entrance: Entrance, body: bytes) -> None:
    entrance.providers.answer = Response(body)
    message = await refusal(entrance, Unavailable, "ghp_a", "acme")
    assert message == "Unable to verify GitHub token: the answer is not JSON"


async def test_an_endless_answer_is_cut_off(entrance: Entrance) -> None:
    entrance.providers.answer = Response(b" " * (MAX_ANSWER_BYTES + 1))
    message = await refusal(entrance, Unavailable, "ghp_a", "acme")
    assert message == "Unable to verify GitHub token: the answer is too large"


async def test_odd_entries_among_the_organisations_are_passed_over(entrance: Entrance, member: Member) -> None:
    token = member("ghp_a")
    entrance.providers.memberships[token] = ["x", {}, {"login": 7}, {"login": "acme", "id": "x"}]  # type: ignore[list-item]
    assert (await entrance.knock(token, "acme")).organisation_id is None


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


async def test_a_github_out_of_reach_is_told_without_the_token() -> None:
    async with Web(seconds=5) as web:
        github = GitHubTokens("http://127.0.0.1:1", "2022-11-28", web, Clock(), membership_ttl=300)
        with pytest.raises(Unavailable, match="Unable to verify GitHub token: the connection failed") as refused:
            await github.membership(CANARY, "acme")
    assert refused.value.__cause__ is None and refused.value.__context__ is None


async def test_a_membership_is_remembered_for_its_time(entrance: Entrance, member: Member) -> None:
    token = member("ghp_a", acme=42)
    await entrance.knock(token, "acme")
    await entrance.knock(token, "Acme")
    assert entrance.providers.times_asked("/user") == 1
    entrance.providers.memberships[token] = []
    entrance.clock.advance(300)
    await refusal(entrance, Forbidden, token, "acme")


async def test_a_new_membership_counts_after_thirty_seconds(entrance: Entrance, member: Member) -> None:
    token = member("ghp_a")
    await refusal(entrance, Forbidden, token, "acme")
    entrance.providers.memberships[token] = [{"login": "acme", "id": 42}]
    await refusal(entrance, Forbidden, token, "acme")
    entrance.clock.advance(30)
    assert await entrance.knock(token, "acme")


async def test_two_tokens_of_one_user_are_judged_apart(entrance: Entrance, member: Member) -> None:
    await entrance.knock(member("ghp_with_org", "octo", acme=42), "acme")
    await refusal(entrance, Forbidden, member("ghp_without", "octo"), "acme")


async def test_one_token_is_judged_apart_for_each_organisation(entrance: Entrance, member: Member) -> None:
    token = member("ghp_a", acme=42)
    await refusal(entrance, Forbidden, token, "widgets")
    assert await entrance.knock(token, "acme")
    await refusal(entrance, Forbidden, token, "widgets")


async def test_many_requests_with_one_token_share_one_look_up(entrance: Entrance, member: Member) -> None:
    token = member("ghp_a", acme=42)
    callers = await asyncio.gather(*(entrance.knock(token, "acme") for _ in range(10)))
    assert len(callers) == 10
    assert entrance.providers.times_asked("/user") == 1


async def test_a_request_that_goes_away_leaves_the_look_up_to_the_others(entrance: Entrance, member: Member) -> None:
    entrance.providers.pause = asyncio.Event()
    token = member("ghp_a", acme=42)
    first = asyncio.create_task(entrance.knock(token, "acme"))
    second = asyncio.create_task(entrance.knock(token, "acme"))
    await asyncio.sleep(0)
    first.cancel()
    entrance.providers.pause.set()
    assert (await second).organisation == "acme"
    assert entrance.providers.times_asked("/user") == 1


@pytest.mark.parametrize("token", ["x" * 8193, "gh\u00fcp", "ghp a", "ghp\x01a", "\x7f", "gh\ud800"])
async def test_what_cannot_be_a_token_is_refused_unasked(entrance: Entrance, token: str) -> None:
    assert await refusal(entrance, Unauthenticated, token, "acme") == "Invalid GitHub token"
    assert entrance.providers.asked == []


async def test_a_token_of_eight_kilobytes_is_judged(entrance: Entrance, member: Member) -> None:
    assert await entrance.knock(member("x" * 8192, acme=42), "acme")


async def test_a_github_token_that_holds_a_jwt_is_still_githubs(entrance: Entrance, member: Member) -> None:
    assert (await entrance.knock(member("ghs_12_eyJh.eyJi.c2ln", acme=42), "acme")).method == "pat"
