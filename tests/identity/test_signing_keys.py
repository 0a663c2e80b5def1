"""An issuer's keys: fetched once, renewed when they change, kept when the issuer is gone."""

import asyncio

import pytest

from adapters.identity.oidc import TrustedIssuer
from domain.errors import Unauthenticated, Unavailable
from tests.identity.entrance import Entrance
from tests.identity.providers import SigningKey

KEYS = "/.well-known/jwks"
UNKNOWN_KEY = "Unable to find matching signing key"

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_keys_are_fetched_once_for_many_tokens(entrance: Entrance) -> None:
    for run in range(5):
        await entrance.knock(entrance.token(run_id=str(run)))
    assert entrance.providers.times_asked(KEYS) == 1


async def test_many_at_once_share_one_fetch(entrance: Entrance) -> None:
    entrance.providers.pause = asyncio.Event()
    knocks = [asyncio.create_task(entrance.knock(entrance.token(run_id=str(run)))) for run in range(10)]
    await asyncio.sleep(0)
    entrance.providers.pause.set()
    callers = await asyncio.gather(*knocks)
    assert {caller.organisation for caller in callers} == {"acme"}
    assert entrance.providers.times_asked(KEYS) == 1


async def test_the_keys_are_fetched_again_when_their_time_is_over(entrance: Entrance) -> None:
    await entrance.knock(entrance.token())
    entrance.clock.advance(3600)
    await entrance.knock(entrance.token())
    assert entrance.providers.times_asked(KEYS) == 2


async def test_a_withdrawn_key_is_refused_after_the_next_fetch(entrance: Entrance, other_key: SigningKey) -> None:
    await entrance.knock(entrance.token())
    entrance.providers.keys = [other_key.public_jwk()]
    entrance.clock.advance(3600)
    with pytest.raises(Unauthenticated, match=UNKNOWN_KEY):
        await entrance.knock(entrance.token())


async def test_a_new_key_is_accepted_at_once(entrance: Entrance, other_key: SigningKey) -> None:
    await entrance.knock(entrance.token())
    entrance.providers.keys = [entrance.key.public_jwk(), other_key.public_jwk()]
    assert await entrance.knock(other_key.sign(entrance.claims()))
    assert await entrance.knock(entrance.token(run_id="2"))


async def test_many_bearers_of_a_new_key_share_its_fetch(entrance: Entrance, other_key: SigningKey) -> None:
    await entrance.knock(entrance.token())
    entrance.providers.keys = [other_key.public_jwk()]
    tokens = [other_key.sign(entrance.claims(run_id=str(run))) for run in range(10)]
    assert len(await asyncio.gather(*map(entrance.knock, tokens))) == 10
    assert entrance.providers.times_asked(KEYS) == 2


async def test_unknown_keys_cause_one_fetch_in_thirty_seconds(entrance: Entrance) -> None:
    await entrance.knock(entrance.token())
    for attempt in range(5):
        with pytest.raises(Unauthenticated, match=UNKNOWN_KEY):
            await entrance.knock(entrance.key.sign(entrance.claims(), kid=f"strange-{attempt}"))
    assert entrance.providers.times_asked(KEYS) == 2
    entrance.clock.advance(30)
    with pytest.raises(Unauthenticated, match=UNKNOWN_KEY):
        await entrance.knock(entrance.key.sign(entrance.claims(), kid="strange"))
    assert entrance.providers.times_asked(KEYS) == 3


async def test_an_outage_keeps_the_old_keys(entrance: Entrance) -> None:
    await entrance.knock(entrance.token())
    entrance.providers.keys = None
    entrance.clock.advance(3600)
    assert await entrance.knock(entrance.token())
    assert await entrance.knock(entrance.token(run_id="2"))
    assert entrance.providers.times_asked(KEYS) == 2


async def test_an_outage_does_not_vouch_for_unknown_keys(entrance: Entrance, other_key: SigningKey) -> None:
    await entrance.knock(entrance.token())
    entrance.providers.keys = None
    with pytest.raises(Unauthenticated, match=UNKNOWN_KEY):
        await entrance.knock(other_key.sign(entrance.claims()))


async def test_without_any_keys_an_outage_is_said_to_be_one(entrance: Entrance) -> None:
    entrance.providers.keys = None
    with pytest.raises(Unavailable, match="Unable to fetch signing keys"):
        await entrance.knock(entrance.token())


async def test_the_first_outage_heals_after_a_second(entrance: Entrance) -> None:
    keys, entrance.providers.keys = entrance.providers.keys, None
    for _ in range(5):
        with pytest.raises(Unavailable):
            await entrance.knock(entrance.token())
    assert entrance.providers.times_asked(KEYS) == 1
    entrance.providers.keys = keys
    entrance.clock.advance(1)
    assert await entrance.knock(entrance.token())


async def test_keys_of_other_uses_are_passed_over(entrance: Entrance, other_key: SigningKey) -> None:
    odd = [
        "text",
        {"kty": "RSA"},
        {**other_key.public_jwk(), "use": "enc"},
        {**other_key.public_jwk(), "alg": "RS512"},
        {**other_key.public_jwk(), "n": "!"},
        {"kty": "oct", "kid": "second", "k": "c2VjcmV0"},
    ]
    entrance.providers.keys = [*odd, entrance.key.public_jwk()]  # type: ignore[list-item]
    assert await entrance.knock(entrance.token())
    with pytest.raises(Unauthenticated, match=UNKNOWN_KEY):
        await entrance.knock(other_key.sign(entrance.claims()))


async def test_an_issuer_without_a_given_address_announces_its_keys(entrance: Entrance) -> None:
    issuer = f"{entrance.providers.url}/"
    entrance.issuers.append(TrustedIssuer(issuer, "rollbook"))
    entrance.providers.discovery = {"issuer": issuer, "jwks_uri": f"{entrance.providers.url}/other/keys"}
    await entrance.knock(entrance.token(iss=issuer, aud="rollbook"))
    assert entrance.providers.asked == ["/.well-known/openid-configuration", "/other/keys"]


async def test_an_issuer_that_announces_nothing_has_its_keys_at_the_usual_place(entrance: Entrance) -> None:
    issuer = f"{entrance.providers.url}/"
    entrance.issuers.append(TrustedIssuer(issuer, "rollbook"))
    await entrance.knock(entrance.token(iss=issuer, aud="rollbook"))
    assert entrance.providers.asked == ["/.well-known/openid-configuration", KEYS]


@pytest.mark.parametrize("announced", [{"issuer": "https://elsewhere.example"}, {"jwks_uri": "file:///etc/passwd"}, {}])
async def test_an_announcement_that_is_not_the_issuers_own_is_refused(
    entrance: Entrance, announced: dict[str, str]
) -> None:
    issuer = f"{entrance.providers.url}/"
    entrance.issuers.append(TrustedIssuer(issuer, "rollbook"))
    good = {"issuer": issuer, "jwks_uri": f"{entrance.providers.url}/other/keys"} if announced else {}
    entrance.providers.discovery = {**good, **announced}
    with pytest.raises(Unavailable, match="Unable to fetch signing keys"):
        await entrance.knock(entrance.token(iss=issuer, aud="rollbook"))
