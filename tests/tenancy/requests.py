"""For every route a request that one tenant may send, with ids and names of its own or of another's."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.tenancy.package_requests import PACKAGE_REQUESTS
from tests.tenancy.webhook_requests import WEBHOOK_REQUESTS

Facts = dict[str, Any]
KINDS = (
    "deployment",
    "lane",
    "freeze",
    "token",
    "environment",
    "package",
    "job",
    "upload",
    "package_deployment",
    "incident",
    "webhook",
    "delivery",
    "export",
)
PARAMETER = re.compile(r"\{(\w+?)(?:_id)?\}")


def kind_of(template: str) -> str:
    """What the parameter of a path names."""
    found = PARAMETER.search(template)
    assert found
    return "package_deployment" if template.startswith("/api/deployments/") else found[1]


@dataclass
class Tenant:
    """An organisation: tokens of two administrators, what is in no other's texts, and the ids of what it made."""

    name: str
    headers: dict[str, str]
    colleague: dict[str, str]
    ids: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    @property
    def mark(self) -> str:
        """What only this tenant's texts hold."""
        return f"secret-of-{self.name}"


@dataclass
class Hand:
    """Chooses what is in a request: of mine, or of somebody else's."""

    mine: Tenant
    other: Tenant
    chance: Random

    def lane(self) -> Facts:
        """Both tenants have lanes of the very same names."""
        cell = self.chance.choice([None, "a"])
        provider = self.chance.choice(["gcp", "aws"])
        return {"name": "shop", "provider": provider} | ({"cell": cell} if cell else {})

    def path(self, template: str) -> str:
        """The path, with ids that exist somewhere."""
        return PARAMETER.sub(lambda found: self.chance.choice(self.known(self.kind(found, template))), template)

    def kind(self, found: re.Match[str], template: str) -> str:
        """What one parameter of a path names."""
        return found[1] if found[1] == "delivery" else kind_of(template)

    def known(self, kind: str) -> list[str]:
        """Some ids of things of a kind."""
        return [*self.mine.ids[kind][-4:], *self.other.ids[kind][-3:], "unknown"]

    def moment(self) -> Facts:
        """Sometimes a past position, which may be another tenant's."""
        return {"as_of": str(self.chance.randint(1, 9))} if self.chance.random() < 0.2 else {}


Build = Callable[[Hand], Facts]


def create(hand: Hand) -> Facts:
    """A deployment full of texts."""
    texts = dict.fromkeys(("notes", "description", "build_uri", "resource", "commit_sha"), hand.mine.mark)
    facts = {"version": hand.mine.mark, "environment": "production", "type": "k8s", "auto": hand.chance.random() < 0.5}
    return {"json": {**hand.lane(), **facts, **texts}}


def report(hand: Hand) -> Facts:
    """Any status."""
    status = hand.chance.choice(["deployed", "failed", "scheduled", "in_progress", "skipped", "rolled_back"])
    return {"json": {"status": status, "notes": hand.mine.mark, "override": hand.mine.mark}}


def listed(hand: Hand) -> Facts:
    """Filters and cursors, which may be of positions of another."""
    cursor = {"cursor": f"{hand.chance.randint(1, 9)}-{hand.chance.randint(1, 99)}"}
    wanted: Facts = hand.chance.choice([{}, cursor, {"status": "deployed,scheduled"}, hand.lane(), {"limit": "3"}])
    return {"params": wanted | hand.moment()}


def claim(hand: Hand) -> Facts:
    """A runner."""
    return {"json": {"lanes": [hand.lane()], "runner": hand.mine.mark, "override": hand.mine.mark}}


def rules(hand: Hand) -> Facts:
    """Rules that ask for little, so that the rest goes on."""
    role = {"role": "viewer", "claims": {"login": hand.mine.mark}}
    return {"json": {"roles": [role], "strict_transitions": False}}


def environment(hand: Hand) -> Facts:
    """A database whose secret is the tenant's own, though both call it the same."""
    name = f"{hand.mine.name[::-1]}-{hand.chance.randint(1, 10**9)}"
    return {"json": {"name": name, "kind": "postgresql", "dsn": "file:secret"}}


def past(hand: Hand) -> Facts:
    """Nothing but perhaps a moment."""
    return {"params": hand.moment()}


def live(hand: Hand) -> Facts:
    """Perhaps by what is true of another moment, or of another tenant's position."""
    return {"params": hand.moment() | hand.chance.choice([{}, {"valid_at": "-0s"}, {"valid_at": "production~1"}])}


def correct(hand: Hand) -> Facts:
    """It really went live before."""
    return {"json": {"went_live_at": "2026-01-01T00:00:00Z", "reason": hand.mine.mark}}


def reason(hand: Hand) -> Facts:
    """Why."""
    return {"json": {"reason": hand.mine.mark}}


def deploy(hand: Hand) -> Facts:
    """To an environment that may be another's."""
    return {"json": {"environment": hand.chance.choice(["staging", hand.other.mark]), "options": {"dry_run": True}}}


def nothing(hand: Hand) -> Facts:
    """The path says it all."""
    return {}


def incident(hand: Hand) -> Facts:
    """Something of mine, or of somebody else's, is broken."""
    links = [link(hand)["json"]] if hand.chance.random() < 0.3 else []
    told = {"title": hand.mine.mark, "reference": hand.mine.mark, "began_at": "2026-01-01T00:00:00Z"}
    return {"json": {**told, "deployments": links}}


def link(hand: Hand) -> Facts:
    """A deployment that may be another's."""
    return {"json": {"deployment_id": hand.chance.choice(hand.known("deployment")), "relation": "caused"}}


REQUESTS: dict[str, Build] = {
    "GET /v1/deployments": listed,
    "POST /v1/deployments": create,
    "POST /v1/deployments/rollback": lambda hand: {"params": hand.lane()},
    "POST /v1/deployments/claim": claim,
    "GET /v1/deployments/{deployment_id}": past,
    "PATCH /v1/deployments/{deployment_id}": report,
    "POST /v1/deployments/{deployment_id}/rollback": lambda hand: {"params": {"override": hand.mine.mark}},
    "GET /v1/deployments/{deployment_id}/history": past,
    "GET /v1/deployments/{deployment_id}/corrections": past,
    "POST /v1/deployments/{deployment_id}/corrections": correct,
    "GET /v1/at": lambda hand: {"params": {"ref": hand.chance.choice([f"{hand.other.mark}~1", "production~1", "1"])}},
    "GET /v1/deployments/{deployment_id}/why": past,
    "GET /v1/lanes/{lane_id}/why": past,
    "POST /v1/deployments/{deployment_id}/heartbeat": lambda hand: {"json": {"fence": hand.chance.randint(1, 3)}},
    "POST /v1/deployments/{deployment_id}/approve": reason,
    "GET /v1/lanes": past,
    "GET /v1/lanes/current": live,
    "POST /v1/lanes/release": lambda hand: {"json": {**hand.lane(), "reason": hand.mine.mark}},
    "POST /v1/freezes": lambda hand: {"json": {"scope": {"name": hand.mine.mark}, "reason": hand.mine.mark}},
    "GET /v1/freezes": past,
    "POST /v1/freezes/{freeze_id}/lift": reason,
    "GET /v1/fleet": past,
    "GET /v1/fleet/diff": lambda hand: {"params": {"from": str(hand.chance.randint(1, 9))}},
    "POST /v1/bundles": lambda hand: {"json": {"from": str(hand.chance.randint(1, 9))}},
    "GET /v1/events": lambda hand: {"params": {"from": str(hand.chance.randint(0, 9)), "follow": "false"}},
    "GET /v1/rules": past,
    "PUT /v1/rules": rules,
    "POST /v1/tokens": lambda hand: {"json": {"name": hand.mine.mark, "role": "viewer"}},
    "GET /v1/tokens": past,
    "DELETE /v1/tokens/{token_id}": nothing,
    "GET /api/environments": past,
    "POST /api/environments": environment,
    "GET /api/environments/{environment}": nothing,
    "PUT /api/environments/{environment}": lambda hand: {"json": {"dsn": "file:secret", "reader_dsn": "file:secret"}},
    "DELETE /api/environments/{environment}": nothing,
    "POST /api/environments/{environment}/test": nothing,
    "POST /api/packages/{package_id}/deploy": deploy,
    "POST /api/packages/{package_id}/diff": deploy,
    "GET /api/deployments": past,
    "GET /api/deployments/{deployment_id}": past,
    "GET /api/deployments/{deployment_id}/why": past,
    "POST /api/deployments/{deployment_id}/rollback": reason,
    "GET /api/deployments/{deployment_id}/mappings": nothing,
    "GET /api/deployments/{deployment_id}/mappings/download": nothing,
    **PACKAGE_REQUESTS,
    **WEBHOOK_REQUESTS,
    "GET /v1/audit/events": lambda hand: {"params": {"text": hand.other.mark, "limit": 5}},
    "GET /v1/audit/checkpoints": nothing,
    "POST /v1/audit/exports": lambda hand: {"json": {"filters": {"text": hand.mine.mark}}},
    "GET /v1/audit/exports": past,
    "GET /v1/audit/exports/{export_id}/events": nothing,
    "POST /v1/incidents": incident,
    "GET /v1/incidents": past,
    "GET /v1/incidents/{incident_id}": past,
    "POST /v1/incidents/{incident_id}/links": link,
    "POST /v1/incidents/{incident_id}/unlink": link,
    "POST /v1/incidents/{incident_id}/resolve": lambda hand: {"json": {}},
    "POST /v1/incidents/{incident_id}/reopen": reason,
    "GET /v1/teams": past,
    "GET /v1/metrics/dora": lambda hand: {"params": {"environment": hand.chance.choice(["production", ""])}},
    "PUT /v1/teams": lambda hand: {"json": {"teams": {hand.mine.mark: ["shop"]}}},
    "GET /v1/organisation": past,
    "POST /v1/organisation/owner": lambda hand: {"json": {"owner": hand.mine.mark, "reason": hand.mine.mark}},
}
