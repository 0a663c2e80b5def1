"""Values at the edge of what the store can hold are answered, not stumbled over."""

import pytest

from tests.conftest import Running

DEPLOYMENT = {"name": "shop", "version": "1", "provider": "gcp", "environment": "production", "type": "k8s"}
MOMENTS = ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00")


@pytest.fixture
async def stocked(rollbook: Running) -> Running:
    """A Rollbook that holds one deployment, which can be read."""
    assert (await rollbook.client.post("/v1/deployments", json=DEPLOYMENT)).status_code == 201
    assert (await rollbook.client.get("/v1/deployments")).status_code == 200
    return rollbook


async def test_everything_was_created_since_the_first_year_and_nothing_until_then(stocked: Running) -> None:
    since = await stocked.client.get(f"/v1/deployments?since={MOMENTS[0]}")
    until = await stocked.client.get(f"/v1/deployments?until={MOMENTS[0]}")
    assert (len(since.json()), until.json()) == (1, [])


async def test_no_moment_breaks_a_list(stocked: Running) -> None:
    for moment in MOMENTS:
        for parameter in ("since", "until", "as_of"):
            answer = await stocked.client.get(f"/v1/deployments?{parameter}={moment}")
            assert answer.status_code in (200, 400), (parameter, moment, answer.text)


ENDS = ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-14:00")


async def test_no_moment_of_any_body_breaks_what_reads_it(stocked: Running) -> None:
    for moment in (*ENDS, "2026-06-30T23:59:60Z", "2026-01-01T00:00:00.1234567890123Z"):
        told = [
            await stocked.client.post("/v1/deployments", json={**DEPLOYMENT, "committed_at": moment}),
            await stocked.client.post("/v1/freezes", json={"reason": "x", "until": moment}),
            await stocked.client.post("/v1/tokens", json={"name": "x", "expires_at": moment}),
        ]
        assert {answer.status_code for answer in told} <= {201, 400, 422}, [answer.text for answer in told]
        lane = {"name": "shop", "provider": "gcp"}
        claim = await stocked.client.post("/v1/deployments/claim", json={"lanes": [lane], "runner": "r"})
        assert claim.status_code in (200, 204, 423), claim.text
    for path in ("/v1/deployments", "/v1/lanes", "/v1/freezes", "/v1/tokens"):
        assert (await stocked.client.get(path)).status_code == 200, path


async def test_a_cursor_that_was_never_given_out_is_a_400_at_once(stocked: Running) -> None:
    for cursor in ("99999999999999999999-1", "9223372036854775807-1", f"0-0-{'9' * 40}", "x", "1", "-", "²-1"):
        for path in ("/v1/deployments", "/v1/fleet", "/v1/audit/events"):
            answer = await stocked.client.get(path, params={"cursor": cursor})
            assert answer.status_code == 400, (path, cursor)


async def test_any_text_is_a_legal_id_of_nothing(stocked: Running) -> None:
    for identifier in ("%00", "%ff", "%C3%BC", "x%0Ay", "9" * 5000):
        path = f"/v1/deployments/{identifier}"
        for answer in (
            await stocked.client.get(path),
            await stocked.client.get(f"{path}/history"),
            await stocked.client.patch(path, json={"status": "deployed"}),
            await stocked.client.post(f"{path}/rollback"),
        ):
            assert (answer.status_code, answer.json()) == (404, {"detail": "Deployment not found"})
