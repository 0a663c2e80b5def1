"""Who may do what: every route of the API against every role, with real tokens; what is not listed is a failure."""

from typing import Any

import pytest

from application.authorisation import ACTIONS, GIVEN_WITH
from application.caller import Role
from entrypoints.http.routing import Route
from tests.identity.world import World, bearer

pytestmark = pytest.mark.asyncio(loop_scope="session")

OPEN, VIEWER, DEPLOYER, APPROVER, ADMIN = "open", "viewer", "deployer", "approver", "admin"
RANKS = (VIEWER, DEPLOYER, APPROVER, ADMIN)

# The least role that gets past the door, route by route; a new route fails these tests until it is listed here.
EXPECTED = {
    "GET /v1/deployments": VIEWER,
    "POST /v1/deployments": DEPLOYER,
    "POST /v1/deployments/rollback": DEPLOYER,
    "POST /v1/deployments/claim": DEPLOYER,
    "GET /v1/deployments/{deployment_id}": VIEWER,
    "PATCH /v1/deployments/{deployment_id}": DEPLOYER,
    "POST /v1/deployments/{deployment_id}/rollback": DEPLOYER,
    "GET /v1/deployments/{deployment_id}/history": VIEWER,
    "GET /v1/deployments/{deployment_id}/why": VIEWER,
    "GET /v1/lanes/{lane_id}/why": VIEWER,
    "POST /v1/deployments/{deployment_id}/heartbeat": DEPLOYER,
    "POST /v1/deployments/{deployment_id}/approve": DEPLOYER,
    "POST /v1/deployments/{deployment_id}/corrections": APPROVER,
    "GET /v1/deployments/{deployment_id}/corrections": VIEWER,
    "GET /v1/at": VIEWER,
    "GET /v1/lanes": VIEWER,
    "GET /v1/lanes/current": VIEWER,
    "POST /v1/lanes/release": DEPLOYER,
    "POST /v1/freezes": APPROVER,
    "GET /v1/freezes": VIEWER,
    "POST /v1/freezes/{freeze_id}/lift": APPROVER,
    "GET /v1/fleet": VIEWER,
    "GET /v1/fleet/diff": VIEWER,
    "POST /v1/bundles": ADMIN,
    "GET /v1/rules": VIEWER,
    "PUT /v1/rules": ADMIN,
    "POST /v1/tokens": ADMIN,
    "GET /v1/tokens": ADMIN,
    "DELETE /v1/tokens/{token_id}": ADMIN,
    "POST /v1/incidents": DEPLOYER,
    "GET /v1/incidents": VIEWER,
    "GET /v1/incidents/{incident_id}": VIEWER,
    "POST /v1/incidents/{incident_id}/links": DEPLOYER,
    "POST /v1/incidents/{incident_id}/unlink": DEPLOYER,
    "POST /v1/incidents/{incident_id}/resolve": DEPLOYER,
    "POST /v1/incidents/{incident_id}/reopen": DEPLOYER,
    "GET /v1/teams": VIEWER,
    "GET /v1/metrics/dora": VIEWER,
    "PUT /v1/teams": ADMIN,
    "GET /v1/events": VIEWER,
    "GET /v1/organisation": VIEWER,
    "POST /v1/organisation/owner": ADMIN,
    "GET /api/jobs": VIEWER,
    "GET /api/jobs/{job_id}": VIEWER,
    "GET /api/jobs/{job_id}/logs": DEPLOYER,
    "GET /api/jobs/{job_id}/file": DEPLOYER,
    "POST /api/jobs/{job_id}/cancel": DEPLOYER,
    "POST /api/jobs/{job_id}/retry": DEPLOYER,
    "GET /api/environments": VIEWER,
    "POST /api/environments": ADMIN,
    "GET /api/environments/{environment}": VIEWER,
    "PUT /api/environments/{environment}": ADMIN,
    "DELETE /api/environments/{environment}": ADMIN,
    "POST /api/environments/{environment}/test": DEPLOYER,
    "GET /api/packages": VIEWER,
    "POST /api/packages": DEPLOYER,
    "POST /api/packages/preview": DEPLOYER,
    "POST /api/packages/import": DEPLOYER,
    "GET /api/packages/{package_id}": VIEWER,
    "PUT /api/packages/{package_id}": DEPLOYER,
    "DELETE /api/packages/{package_id}": DEPLOYER,
    "GET /api/packages/{package_id}/data": DEPLOYER,
    "GET /api/packages/{package_id}/actions": VIEWER,
    "POST /api/packages/{package_id}/generate": DEPLOYER,
    "POST /api/packages/{package_id}/deploy": DEPLOYER,
    "POST /api/packages/{package_id}/diff": DEPLOYER,
    "GET /api/deployments": VIEWER,
    "GET /api/deployments/{deployment_id}": VIEWER,
    "GET /api/deployments/{deployment_id}/why": VIEWER,
    "POST /api/deployments/{deployment_id}/rollback": DEPLOYER,
    "GET /api/deployments/{deployment_id}/mappings": DEPLOYER,
    "GET /api/deployments/{deployment_id}/mappings/download": DEPLOYER,
    "POST /api/uploads": DEPLOYER,
    "HEAD /api/uploads/{upload_id}": DEPLOYER,
    "PATCH /api/uploads/{upload_id}": DEPLOYER,
    "DELETE /api/uploads/{upload_id}": DEPLOYER,
    "POST /api/uploads/{upload_id}/import": DEPLOYER,
    "POST /v1/webhooks": ADMIN,
    "GET /v1/webhooks": DEPLOYER,
    "GET /v1/webhooks/{webhook_id}": DEPLOYER,
    "PATCH /v1/webhooks/{webhook_id}": ADMIN,
    "DELETE /v1/webhooks/{webhook_id}": ADMIN,
    "POST /v1/webhooks/{webhook_id}/rotate-secret": ADMIN,
    "POST /v1/webhooks/{webhook_id}/pause": ADMIN,
    "POST /v1/webhooks/{webhook_id}/resume": ADMIN,
    "POST /v1/webhooks/{webhook_id}/test": DEPLOYER,
    "POST /v1/webhooks/{webhook_id}/replay": DEPLOYER,
    "GET /v1/webhooks/{webhook_id}/deliveries": DEPLOYER,
    "POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay": DEPLOYER,
    "GET /v1/audit/events": ADMIN,
    "GET /v1/audit/checkpoints": ADMIN,
    "POST /v1/audit/exports": ADMIN,
    "GET /v1/audit/exports": ADMIN,
    "GET /v1/audit/exports/{export_id}/events": ADMIN,
    "GET /docs": OPEN,
    "GET /redoc": OPEN,
    "GET /openapi.json": OPEN,
    "GET /asyncapi": OPEN,
    "GET /asyncapi.json": OPEN,
}


def routes(rollbook: World) -> dict[str, Route]:
    """The route table as it is served."""
    api: Any = rollbook.rollbook.app.api()
    return {f"{route.method} {route.path}": route for route in api.routes}


async def knock(rollbook: World, headers: dict[str, str]) -> dict[str, int]:
    """The status of every route for a request that holds nothing but who asks."""
    statuses = {}
    for name in EXPECTED:
        method, path = name.split()
        url = path.replace("{", "").replace("}", "")
        # Only the head is read, as some answers have no end.
        async with rollbook.rollbook.client.stream(method, url, headers=headers, content=b"[]") as answer:
            statuses[name] = answer.status_code
    return statuses


async def test_every_route_is_listed_and_nothing_else_is(rollbook: World) -> None:
    listed = {name for name, least in EXPECTED.items() if least != OPEN}
    served = {name for name, route in routes(rollbook).items() if not route.open}
    assert served == listed
    assert {name for name, route in routes(rollbook).items() if route.open} >= EXPECTED.keys() - listed


async def test_every_route_asks_for_an_action_that_somebody_may_do(rollbook: World) -> None:
    asked = {route.action for route in routes(rollbook).values() if not route.open}
    assert asked == set(ACTIONS)


@pytest.mark.parametrize("role", RANKS)
async def test_a_role_gets_past_exactly_the_doors_that_are_open_to_it(rollbook: World, role: str) -> None:
    statuses = await knock(rollbook, await rollbook.own(Role(role)))
    may = {name for name, least in EXPECTED.items() if least == OPEN or RANKS.index(role) >= RANKS.index(least)}
    assert {name for name, status in statuses.items() if status not in (401, 403)} == may
    assert {status for name, status in statuses.items() if name not in may} <= {403}


async def test_a_token_whose_scope_is_empty_gets_past_no_door_but_the_open_ones(rollbook: World) -> None:
    admin = await rollbook.own(Role.ADMIN)
    body = {"name": "nothing", "role": "admin", "scope": []}
    made = (await rollbook.rollbook.client.post("/v1/tokens", json=body, headers=admin)).json()
    statuses = await knock(rollbook, bearer(made["token"]))
    assert {name: status for name, status in statuses.items() if status != 403}.keys() == {
        name for name, least in EXPECTED.items() if least == OPEN
    }


async def test_whoever_audits_has_a_token_whose_scope_says_so_and_no_other_role_will_do(rollbook: World) -> None:
    admin, audits = await rollbook.own(Role.ADMIN), ("/v1/audit/events", "/v1/audit/exports")
    auditor = bearer(await issued(rollbook, admin, 201, role="viewer", scope=["audit.read"]))
    assert [await rollbook.comes(auditor, path) for path in audits] == [200, 200]
    exporting = await rollbook.rollbook.client.post("/v1/audit/exports", json={}, headers=auditor)
    assert exporting.status_code == 403
    assert await rollbook.comes(auditor) == 403, "and it covers nothing else"
    for role in (Role.VIEWER, Role.DEPLOYER, Role.APPROVER):
        assert await rollbook.comes(await rollbook.own(role), "/v1/audit/events") == 403
    assert await rollbook.comes(rollbook.action(), "/v1/audit/events") == 403


async def test_a_token_hands_on_no_more_than_its_own_scope(rollbook: World) -> None:
    held = ["token.create", "deployment.read"]
    narrow = bearer(await issued(rollbook, await rollbook.own(Role.ADMIN), 201, scope=held))
    await issued(rollbook, narrow, 403)
    await issued(rollbook, narrow, 403, scope=[*held, "rules.set"])
    assert await rollbook.comes(bearer(await issued(rollbook, narrow, 201, scope=["deployment.read"]))) == 200


async def issued(rollbook: World, headers: dict[str, str], expect: int, **fields: Any) -> str:
    """The secret of a new token for an administrator, as far as it is issued."""
    body = {"name": "new", "role": "admin", **fields}
    answer = await rollbook.rollbook.client.post("/v1/tokens", json=body, headers=headers)
    assert answer.status_code == expect, answer.text
    return str(answer.json().get("token"))


@pytest.mark.faults
async def test_a_scope_of_one_action_opens_the_doors_of_that_action_alone(rollbook: World) -> None:
    admin, table = await rollbook.own(Role.ADMIN), routes(rollbook)
    opened_by = {name: {route.action, *GIVEN_WITH.get(route.action, ())} for name, route in table.items()}
    for action in sorted(ACTIONS):
        body = {"name": "narrow", "role": "admin", "scope": [action]}
        made = (await rollbook.rollbook.client.post("/v1/tokens", json=body, headers=admin)).json()
        statuses = await knock(rollbook, bearer(made["token"]))
        opened = {name for name, least in EXPECTED.items() if least != OPEN and action in opened_by[name]}
        assert {n for n, status in statuses.items() if status != 403 and EXPECTED[n] != OPEN} == opened, action


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Basic b2N0bw=="}, {"Authorization": "Bearer rbk_unknown"}, {"X-Organisation": "acme"}],
    ids=["nobody", "another scheme", "an unknown token", "only a name"],
)
async def test_who_is_nobody_gets_past_the_open_doors_alone(rollbook: World, headers: dict[str, str]) -> None:
    statuses = await knock(rollbook, headers)
    for name, status in statuses.items():
        assert (status == 401) == (EXPECTED[name] != OPEN), name


async def test_a_github_token_is_a_deployer(rollbook: World) -> None:
    own = await knock(rollbook, await rollbook.own(Role.DEPLOYER))
    assert await knock(rollbook, rollbook.action()) == own
    assert await knock(rollbook, rollbook.person()) == own


@pytest.mark.parametrize("role", RANKS)
async def test_a_rule_of_the_organisation_gives_a_github_token_another_role(rollbook: World, role: str) -> None:
    await rule(rollbook, {"role": role, "claims": {"repository": "acme/shop", "workflow": "Deploy"}})
    assert await knock(rollbook, rollbook.action()) == await knock(rollbook, await rollbook.own(Role(role)))
    assert await knock(rollbook, rollbook.action(workflow="Other")) == await knock(
        rollbook, await rollbook.own(Role.DEPLOYER)
    )


async def test_a_rule_names_a_person_by_login_and_no_claim_can_pretend_that(rollbook: World) -> None:
    await rule(rollbook, {"role": "admin", "claims": {"login": "boss"}})
    assert await rollbook.comes(rollbook.person(login="boss"), "/v1/tokens") == 200
    assert await rollbook.comes(rollbook.person(), "/v1/tokens") == 403
    assert await rollbook.comes(rollbook.action(actor="boss"), "/v1/tokens") == 200
    assert await rollbook.comes(rollbook.action(login="boss"), "/v1/tokens") == 403


async def test_a_rule_that_names_a_person_is_told_by_name_and_fits_nobody_else(rollbook: World) -> None:
    claims = {"email": "boss@example.com", "repository": "acme/shop"}
    told = await rule(rollbook, {"role": "admin", "claims": claims})
    assert told["roles"] == [{"role": "admin", "claims": claims}]
    pseudonym = next(iter((await rollbook.rollbook.app.people.known_as("acme", [claims["email"]])).values()))
    assert await rollbook.comes(rollbook.action(email="Boss@Example.com"), "/v1/tokens") == 200
    for other in (None, "", "another@example.com", f"person:{pseudonym}", pseudonym, "\ud800", ["boss@example.com"]):
        assert await rollbook.comes(rollbook.action(email=other), "/v1/tokens") == 403, other
    assert await rollbook.comes(rollbook.action(email=claims["email"], repository="acme/other"), "/v1/tokens") == 403


async def test_a_rule_that_wants_a_claim_called_none_wants_it_said(rollbook: World) -> None:
    await rule(rollbook, {"role": "admin", "claims": {"team": "None"}})
    assert await rollbook.comes(rollbook.action(), "/v1/tokens") == 403
    assert await rollbook.comes(rollbook.action(team="None"), "/v1/tokens") == 200


async def test_a_rule_of_one_organisation_gives_nothing_in_another(rollbook: World) -> None:
    await rule(rollbook, {"role": "admin", "claims": {"actor": "octo"}})
    assert await rollbook.comes(rollbook.action(), "/v1/tokens") == 200
    assert await rollbook.comes(rollbook.action("globex"), "/v1/tokens") == 403


async def test_a_rule_gives_nothing_to_a_token_of_our_own(rollbook: World) -> None:
    await rule(rollbook, {"role": "admin", "claims": {"login": "viewer of acme"}})
    assert await rollbook.comes(await rollbook.own(Role.VIEWER), "/v1/tokens") == 403


async def rule(rollbook: World, *roles: dict[str, Any]) -> Any:
    """Sets the organisation's rules about roles; answers all rules as they are told."""
    admin = await rollbook.own(Role.ADMIN)
    answer = await rollbook.rollbook.client.put("/v1/rules", json={"roles": list(roles)}, headers=admin)
    assert answer.status_code == 200, answer.text
    rollbook.rollbook.app.rules.clear()
    return answer.json()
