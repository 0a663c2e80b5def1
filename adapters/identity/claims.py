"""From a verified token's claims to the caller they describe."""

from collections.abc import Mapping
from typing import Any

from adapters.identity.names import is_name, is_storable
from adapters.identity.oidc import TrustedIssuer, VerifiedToken
from application.caller import Caller, Origin
from domain.errors import Forbidden, Unauthenticated

MAX_CLAIM = 1000
UNSTATED = "unknown"


def caller_of(token: VerifiedToken) -> Caller:
    """Raises Unauthenticated when the organisation is missing or a claim that we use cannot be kept.

    Raises Forbidden when the issuer may not speak for the organisation.
    """
    issuer, claims = token.issuer, token.claims
    organisation = organisation_claimed(token).lower()
    if issuer.organisations and organisation not in issuer.organisations:
        raise Forbidden(f"Issuer '{issuer.issuer}' may not speak for organisation '{organisation}'")
    return Caller(
        organisation=organisation,
        login=_text(claims, issuer.actor_claim) or UNSTATED,
        role=issuer.role,
        method="oidc",
        repository=_text(claims, issuer.repository_claim) or UNSTATED,
        workflow=_text(claims, issuer.workflow_claim) or UNSTATED,
        origin=_origin(issuer, claims),
        organisation_id=_owner(issuer, claims),
        entrusted=organisation in issuer.organisations,
        claims=claims,
    )


def organisation_claimed(token: VerifiedToken) -> str:
    """The organisation as the token writes it."""
    name = token.issuer.organisation_claim
    organisation = _text(token.claims, name)
    if not organisation:
        raise Unauthenticated(f"Token missing {name} claim")
    if not is_name(organisation):
        raise _unusable(name)
    return organisation


def _owner(issuer: TrustedIssuer, claims: Mapping[str, Any]) -> str | None:
    claimed = _text(claims, issuer.owner_id_claim) if issuer.owner_id_claim else None
    return claimed or (issuer.issuer if issuer.vouches else None)


def _origin(issuer: TrustedIssuer, claims: Mapping[str, Any]) -> Origin:
    return Origin(
        issuer=issuer.issuer,
        repository=_text(claims, issuer.repository_claim),
        repository_id=_text(claims, "repository_id"),
        owner=_text(claims, issuer.organisation_claim),
        owner_id=_text(claims, "repository_owner_id"),
        ref=_text(claims, "ref"),
        sha=_text(claims, "sha"),
        workflow=_text(claims, issuer.workflow_claim),
        run_id=_text(claims, "run_id"),
        run_attempt=_text(claims, "run_attempt"),
    )


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > MAX_CLAIM or not is_storable(value):
        raise _unusable(name)
    return value


def _unusable(name: str) -> Unauthenticated:
    return Unauthenticated(f"Invalid OIDC token: Claim {name} is not usable")
