"""GitHub personal access tokens: who gets in by one, and what GitHub is asked."""

import asyncio
from collections.abc import Callable

import pytest
from starlette.responses import JSONResponse, Response

from application.caller import Role
from domain.errors import Forbidden, Invalid, RollbookError, Unauthenticated
from tests.identity.entrance import Entrance

Member = Callable[..., str]

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


@pytest.mark.parametrize("user", [{}, {"login": None}, {"login": 7}, {"login": ""}, ["octo"], "octo"])
async def test_a_user_without_a_login_is_refused(entrance: Entrance, user: object) -> None:
    entrance.providers.users["ghp_a"] = user
    assert await refusal(entrance, Unauthenticated, "ghp_a", "acme") == "Unable to get username from GitHub token"


async def test_odd_entries_among_the_organisations_are_passed_over(entrance: Entrance, member: Member) -> None:
    token = member("ghp_a")
    entrance.providers.memberships[token] = ["x", {}, {"login": 7}, {"login": "acme", "id": "x"}]  # type: ignore[list-item]
    assert (await entrance.knock(token, "acme")).organisation_id is None


async def test_a_membership_is_remembered_for_its_time(entrance: Entrance, member: Member) -> None:
    token = member("ghp_a", acme=42)
    await entrance.knock(token, "acme")
    await entrance.knock(token, "Acme")
    entrance.providers.memberships[token] = []
    entrance.clock.advance(299)
    await entrance.knock(token, "acme")
    assert entrance.providers.times_asked("/user") == 1
    entrance.clock.advance(1)
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
