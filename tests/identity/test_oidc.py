"""Tokens of OIDC issuers: who gets in by one, and which are refused with which words."""

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from adapters.identity.oidc import TrustedIssuer
from application.caller import Role
from domain.errors import Forbidden, Unauthenticated
from tests.identity.entrance import AUDIENCE, Entrance
from tests.identity.providers import SigningKey

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def refusal(entrance: Entrance, token: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        await entrance.knock(token)
    return refused.value.message


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


async def test_a_run_on_github_is_its_owners_deployer(entrance: Entrance) -> None:
    caller = await entrance.knock(entrance.token(), organisation="somebody-else")
    assert (caller.organisation, caller.organisation_id) == ("acme", "42")
    assert (caller.repository, caller.workflow, caller.login) == ("ACME/shop", "Deploy", "octo")
    assert (caller.role, caller.method, caller.scope) == (Role.DEPLOYER, "oidc", None)


async def test_the_origin_tells_the_run(entrance: Entrance) -> None:
    origin = (await entrance.knock(entrance.token())).origin
    assert (origin.issuer, origin.repository, origin.repository_id) == (entrance.providers.url, "ACME/shop", "71")
    assert (origin.owner, origin.owner_id, origin.ref, origin.sha) == ("ACME", "42", "refs/heads/main", "c0ffee")
    assert (origin.workflow, origin.run_id, origin.run_attempt) == ("Deploy", "1234", "2")


async def test_the_claims_are_there_for_rules(entrance: Entrance) -> None:
    caller = await entrance.knock(entrance.token(environment="production"))
    assert caller.claims["environment"] == "production"


async def test_numbers_as_claims_are_written_as_text(entrance: Entrance) -> None:
    caller = await entrance.knock(entrance.token(repository_owner_id=42, run_attempt=3))
    assert (caller.organisation_id, caller.origin.run_attempt) == ("42", "3")


async def test_an_audience_list_that_holds_ours_is_accepted(entrance: Entrance) -> None:
    assert await entrance.knock(entrance.token(aud=["other", AUDIENCE]))


@pytest.mark.parametrize("audience", ["other", ["other", "another"], [], {"aud": AUDIENCE}, [AUDIENCE, 7]])
async def test_another_audience_is_refused(entrance: Entrance, audience: Any) -> None:
    message = await refusal(entrance, entrance.token(aud=audience))
    assert message.startswith("Invalid OIDC token: ")


@pytest.mark.parametrize("claim", ["iss", "aud", "exp"])
async def test_a_required_claim_is_named_when_it_is_missing(entrance: Entrance, claim: str) -> None:
    message = await refusal(entrance, entrance.token(**{claim: None}))
    assert message == f'Invalid OIDC token: Token is missing the "{claim}" claim'


async def test_an_expired_token_is_refused(entrance: Entrance) -> None:
    token = entrance.token(exp=int(entrance.clock.now))
    assert await refusal(entrance, token) == "Invalid OIDC token: Signature has expired"


async def test_a_token_expires_though_it_was_found_good_before(entrance: Entrance) -> None:
    token = entrance.token(exp=int(entrance.clock.now) + 20)
    await entrance.knock(token)
    entrance.clock.advance(20)
    assert await refusal(entrance, token) == "Invalid OIDC token: Signature has expired"


@pytest.mark.parametrize("claim", ["nbf", "iat"])
async def test_a_token_from_the_future_is_refused_beyond_the_leeway(entrance: Entrance, claim: str) -> None:
    now = int(entrance.clock.now)
    assert await entrance.knock(entrance.token(**{claim: now + 25}))
    message = await refusal(entrance, entrance.token(**{claim: now + 61}))
    assert message == f"Invalid OIDC token: The token is not yet valid ({claim})"


@pytest.mark.parametrize("time", ["tomorrow", True, [1], 1e300, float("inf"), float("nan")])
async def test_a_time_that_is_none_is_refused(entrance: Entrance, time: Any) -> None:
    assert (await refusal(entrance, entrance.token(exp=time))).startswith("Invalid OIDC token: ")


async def test_another_issuer_is_refused(entrance: Entrance) -> None:
    message = await refusal(entrance, entrance.token(iss="https://elsewhere.example"))
    assert message == "Invalid OIDC token: Invalid issuer"
    assert entrance.providers.asked == []


@pytest.mark.parametrize("kid", [None, "", 7, ["first"]])
async def test_a_token_without_a_key_id_is_refused(entrance: Entrance, kid: Any) -> None:
    header = {"alg": "RS256"} if kid is None else {"alg": "RS256", "kid": kid}
    token = f"{part(header)}.{part(entrance.claims())}.c2ln"
    assert await refusal(entrance, token) == "Token missing key ID (kid)"


@pytest.mark.parametrize("owner", [None, ""])
async def test_a_token_without_an_owner_is_refused(entrance: Entrance, owner: str | None) -> None:
    message = await refusal(entrance, entrance.token(repository_owner=owner))
    assert message == "Token missing repository_owner claim"


@pytest.mark.parametrize("owner", [["ACME"], {"a": 1}, True, "a\x00b", "a\ud800", "x" * 101, "acme ", "ac\u202eme"])
async def test_an_owner_that_cannot_be_a_name_is_refused(entrance: Entrance, owner: Any) -> None:
    message = await refusal(entrance, entrance.token(repository_owner=owner))
    assert message == "Invalid OIDC token: Claim repository_owner is not usable"


@pytest.mark.parametrize("workflow", ["\U0001f469\u200d\U0001f4bb Deploy", "two\nlines", "\U0001faef"])
async def test_a_workflow_may_have_any_name_that_can_be_kept(entrance: Entrance, workflow: str) -> None:
    assert (await entrance.knock(entrance.token(workflow=workflow))).workflow == workflow


@pytest.mark.parametrize("workflow", ["a\x00b", "a\ud800", "x" * 1001, ["Deploy"]])
async def test_a_claim_that_cannot_be_kept_is_refused(entrance: Entrance, workflow: Any) -> None:
    message = await refusal(entrance, entrance.token(workflow=workflow))
    assert message == "Invalid OIDC token: Claim workflow is not usable"


async def test_a_claim_that_the_signature_does_not_cover_is_refused(entrance: Entrance) -> None:
    header, _, signature = entrance.token().split(".")
    forged = f"{header}.{part(entrance.claims(repository_owner='victim'))}.{signature}"
    assert await refusal(entrance, forged) == "Invalid OIDC token: Signature verification failed"


async def test_a_key_of_the_same_name_but_another_holder_is_refused(entrance: Entrance, other_key: SigningKey) -> None:
    forged = other_key.sign(entrance.claims(), kid="first")
    assert await refusal(entrance, forged) == "Invalid OIDC token: Signature verification failed"


@pytest.mark.parametrize("algorithm", ["none", "None", "", None, "RS512", "PS256", "ES256", ["RS256"]])
async def test_another_algorithm_is_refused(entrance: Entrance, algorithm: Any) -> None:
    token = f"{part({'alg': algorithm, 'kid': 'first'})}.{part(entrance.claims())}."
    assert await refusal(entrance, token) == "Invalid OIDC token: The specified alg value is not allowed"


async def test_the_public_key_is_no_shared_secret(entrance: Entrance) -> None:
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    secret = entrance.key.private.public_key().public_bytes(*form)
    signed = f"{part({'alg': 'HS256', 'kid': 'first'})}.{part(entrance.claims())}"
    mac = base64.urlsafe_b64encode(hmac.new(secret, signed.encode(), hashlib.sha256).digest())
    token = f"{signed}.{mac.rstrip(b'=').decode()}"
    assert await refusal(entrance, token) == "Invalid OIDC token: The specified alg value is not allowed"


async def test_a_key_that_the_token_brings_along_is_not_looked_at(entrance: Entrance, other_key: SigningKey) -> None:
    url = f"{entrance.providers.url}/other/keys"
    token = other_key.sign(entrance.claims(), kid="first", jwk=other_key.public_jwk(), jku=url, x5u=url)
    assert await refusal(entrance, token) == "Invalid OIDC token: Signature verification failed"
    assert entrance.providers.asked == ["/.well-known/jwks"]


@pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"crit": ["b64"], "b64": True}, {"crit": []}])
async def test_an_extension_that_must_be_understood_is_refused(entrance: Entrance, header: dict[str, Any]) -> None:
    token = f"{part({'alg': 'RS256', 'kid': 'first', **header})}.{part(entrance.claims())}.c2ln"
    assert await refusal(entrance, token) == "Invalid OIDC token: Unsupported critical extension"


@pytest.mark.parametrize("token", ["a.b.c", "AAAA.AAAA.AAAA", f"{part([1])}.{part([1])}.", f"{'A' * 20000}.e30.e30"])
async def test_what_only_looks_like_a_token_is_refused(entrance: Entrance, token: str) -> None:
    assert (await refusal(entrance, token)).startswith("Invalid OIDC token: ")


async def test_a_deeply_nested_token_is_refused(entrance: Entrance) -> None:
    deep = base64.urlsafe_b64encode(b"[" * 6000).rstrip(b"=").decode()
    message = await refusal(entrance, f"{part({'alg': 'RS256', 'kid': 'first'})}.{deep}.c2ln")
    assert message == "Invalid OIDC token: Token cannot be decoded"


def gitlab(entrance: Entrance, **changes: Any) -> TrustedIssuer:
    claims = {"organisation_claim": "namespace_path", "repository_claim": "project_path", "actor_claim": "user_login"}
    return TrustedIssuer(**{"issuer": "https://gitlab.example", "audience": "rollbook", **claims, **changes})


def gitlab_token(entrance: Entrance, **changes: Any) -> str:
    own = {"iss": "https://gitlab.example", "aud": "rollbook", "namespace_path": "Widgets", "user_login": "lab"}
    return entrance.token(**{**own, "project_path": "Widgets/web", **changes})


async def test_another_issuer_of_the_settings_is_believed_by_its_claims(entrance: Entrance) -> None:
    keys = f"{entrance.providers.url}/other/keys"
    entrance.issuers.append(gitlab(entrance, jwks_uri=keys, role=Role.VIEWER))
    caller = await entrance.knock(gitlab_token(entrance))
    assert (caller.organisation, caller.repository, caller.login) == ("widgets", "Widgets/web", "lab")
    assert (caller.role, caller.origin.issuer) == (Role.VIEWER, "https://gitlab.example")


async def test_another_issuer_vouches_itself_for_a_name_without_an_owner_id(entrance: Entrance) -> None:
    entrance.issuers.append(gitlab(entrance, jwks_uri=f"{entrance.providers.url}/other/keys"))
    caller = await entrance.knock(gitlab_token(entrance))
    assert (caller.organisation_id, caller.entrusted) == ("https://gitlab.example", False)
    assert (await entrance.knock(entrance.token(repository_owner_id=None))).organisation_id is None


async def test_an_issuer_that_was_named_for_organisations_speaks_for_no_others(entrance: Entrance) -> None:
    keys = f"{entrance.providers.url}/other/keys"
    entrance.issuers.append(gitlab(entrance, jwks_uri=keys, organisations=frozenset({"widgets"})))
    assert (await entrance.knock(gitlab_token(entrance))).entrusted
    with pytest.raises(Forbidden, match="may not speak for organisation 'gadgets'"):
        await entrance.knock(gitlab_token(entrance, namespace_path="Gadgets"))


async def test_a_missing_organisation_is_named_by_the_issuers_own_claim(entrance: Entrance) -> None:
    entrance.issuers.append(gitlab(entrance, jwks_uri=f"{entrance.providers.url}/other/keys"))
    message = await refusal(entrance, entrance.token(iss="https://gitlab.example", aud="rollbook"))
    assert message == "Token missing namespace_path claim"


async def test_one_issuer_does_not_vouch_with_anothers_audience(entrance: Entrance) -> None:
    entrance.issuers.append(gitlab(entrance, jwks_uri=f"{entrance.providers.url}/other/keys"))
    token = entrance.token(iss="https://gitlab.example", aud=AUDIENCE, namespace_path="Widgets")
    assert await refusal(entrance, token) == "Invalid OIDC token: Audience doesn't match"


async def test_an_issuer_named_twice_is_refused_at_the_start(entrance: Entrance) -> None:
    entrance.issuers.extend([gitlab(entrance), gitlab(entrance)])
    with pytest.raises(ValueError, match="named twice"):
        _ = entrance.authentication


async def test_the_tokens_of_these_tests_are_real_ones(signing_key: SigningKey) -> None:
    token = signing_key.sign({"a": 1})
    assert jwt.decode(token, signing_key.private.public_key(), algorithms=["RS256"]) == {"a": 1}
