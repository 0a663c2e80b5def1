"""Over HTTP, every position and moment of a random history shows what the log says of it, and no commit is cut."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
from hypothesis import given, settings
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from domain.status import Status
from tests.conftest import Database, running_rollbook, settings_for
from tests.kernel.chain import stored
from tests.kernel.history import EXAMPLES, fresh_kernel, live_through_a_story
from tests.kernel.retold import Version, as_of, retell
from tests.reference.stories import STORIES, Step, settled

ORGANISATIONS = ("acme", "other", "nobody")
FEW = 7
# Commits of several events, and rows that change: a deployment is skipped, claimed, deployed and rolled back.
OPENING = [
    Step("schedule", version="1", environment="production"),
    Step("schedule", version="2", environment="production"),
    Step("report", target=1, status=Status.DEPLOYED),
    Step("schedule", version="3", environment="production"),
    Step("claim"),
    Step("report", target=2, status=Status.DEPLOYED),
    Step("roll back lane"),
]
NOT_SHOWN = {"number", "actor", "created_position", "fence", "lease_until"}


@settings(max_examples=2, **EXAMPLES)
@given(steps=STORIES)
def test_each_position_shows_the_log_up_to_its_last_whole_commit(
    postgres: Any, template: str, tmp_path: Path, steps: list[Step]
) -> None:
    async def one() -> None:
        async with fresh_kernel(postgres, template) as (kernel, url):
            await live_through_a_story(kernel, settled([*OPENING, *steps[:FEW]]))
            admin_url = make_conninfo(postgres.admin_url, dbname=str(conninfo_to_dict(url)["dbname"]))
            database = Database("", "", url, admin_url)
            async with running_rollbook(settings_for(tmp_path), database) as running:
                await check_history(running.client, stored(admin_url))

    asyncio.run(one())


async def check_history(client: httpx2.AsyncClient, log: list[dict[str, Any]]) -> None:
    """Every position and every moment, in lists and one by one."""
    told = retell(log, "deployments")
    ends = sorted({event["commit_position"] for event in log})
    for position in range(len(log) + 1):
        shown = max((end for end in ends if end <= position), default=0)
        for organisation in ORGANISATIONS:
            await check_list(client, told, organisation, str(position), shown)
        await check_each(client, told, str(position), shown)
    for before, end in zip([0, *ends], ends, strict=False):
        recorded = log[end - 1]["recorded_at"]
        await check_list(client, told, "acme", written(recorded), end)
        just_before = written(recorded - timedelta(microseconds=1))
        if before:
            await check_list(client, told, "acme", just_before, before)
        else:
            refused = await client.get("/v1/deployments", params={"as_of": just_before})
            assert (refused.status_code, "before the first event" in refused.text) == (400, True)


def written(moment: datetime) -> str:
    """As a caller writes a moment."""
    return moment.isoformat().replace("+00:00", "Z")


async def check_list(
    client: httpx2.AsyncClient, told: list[Version], organisation: str, asked: str, shown: int
) -> None:
    """One organisation's list, newest first, and the position that it shows."""
    answer = await client.get(
        "/v1/deployments", params={"as_of": asked, "limit": 100}, headers={"X-Organisation": organisation}
    )
    assert answer.status_code == 200, answer.text
    expected = [visible(d) for d in as_of(told, organisation, shown)]
    assert [agreeing(row, document) for row, document in zip(answer.json(), expected, strict=True)] == expected
    assert answer.headers["x-rollbook-as-of"] == answer.headers["x-rollbook-position"] == str(shown)


async def check_each(client: httpx2.AsyncClient, told: list[Version], asked: str, shown: int) -> None:
    """Each deployment that there ever was; 404 before it was scheduled, and for whoever does not own it."""
    for number, (key, owner) in enumerate({v.key: v.organisation for v in told}.items()):
        organisation = "nobody" if (shown + number) % 5 == 0 else owner
        answer = await client.get(
            f"/v1/deployments/{key}", params={"as_of": asked}, headers={"X-Organisation": organisation}
        )
        then = [visible(d) for d in as_of(told, organisation, shown) if d["id"] == key]
        assert (answer.status_code == 200) == bool(then), answer.text
        assert [agreeing(answer.json(), document) for document in then] == then


def visible(document: dict[str, Any]) -> dict[str, Any]:
    """What an answer shows of a row."""
    return {name: value for name, value in document.items() if name not in NOT_SHOWN}


def agreeing(answer: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """What an answer says of all that a row holds."""
    return {name: answer[name] for name in document}
