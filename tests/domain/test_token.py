"""A token of Rollbook's own ends once."""

from typing import Any

from domain.errors import Clash
from domain.token import Token
from tests.scenario import AT, ID, given, happened

FACTS: dict[str, Any] = {
    "organisation": "acme",
    "name": "ci",
    "role": "deployer",
    "scope": ["deployment.read"],
    "expires_at": None,
    "sha256": "ab" * 32,
    "owner": "somebody",
}
ISSUED = happened(Token.Issued, **FACTS)
REVOKED = happened(Token.Revoked)


def test_a_token_is_issued_with_its_hash_alone() -> None:
    outcome = given().when(lambda _: Token.issue(ID, AT, **FACTS)).then(ISSUED)
    assert not outcome.aggregate.revoked


def test_a_token_is_revoked() -> None:
    outcome = given(ISSUED).when(lambda t: t.revoke(AT)).then(REVOKED)
    assert outcome.aggregate.revoked


def test_a_token_is_revoked_once_only() -> None:
    given(ISSUED, REVOKED).when(lambda t: t.revoke(AT)).is_refused(Clash, "revoked already")
