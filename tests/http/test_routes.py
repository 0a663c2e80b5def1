"""Each request finds its route, its caller and an answer in the words of its interface."""

from datetime import UTC, datetime

import pytest

from domain import errors
from entrypoints.http.api import Limits
from tests.http.asgi import Shop

OUTSIDER = {"authorization": ""}


async def test_a_parameter_of_the_path_is_a_text(shop: Shop) -> None:
    reply = await shop.ask("GET", "/v1/things/a b\ufffd")
    assert reply.json() == {"name": "a b\ufffd", "caller": "ann"}


@pytest.mark.parametrize("path", ["/nowhere", "/v1/things/", "/v1/things/a/b", "//v1/things", "/v1/things\n", "/v1"])
async def test_an_unknown_path_is_a_404(shop: Shop, path: str) -> None:
    reply = await shop.ask("GET", path)
    assert (reply.status, reply.json()) == (404, {"detail": "Not Found"})
    assert shop.observed == [("GET", "unmatched", 404)]


async def test_an_unknown_path_below_an_interface_answers_in_its_shape(shop: Shop) -> None:
    reply = await shop.ask("GET", "/own/nowhere")
    assert (reply.status, reply.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "DELETE", "TRACE", "BREW"])
async def test_another_method_is_a_405_that_says_which_there_are(shop: Shop, method: str) -> None:
    reply = await shop.ask(method, "/v1/things")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, POST")


async def test_invented_methods_share_one_label(shop: Shop) -> None:
    for method in ("BREW", "BREW2"):
        await shop.ask(method, "/v1/things")
    assert {method for method, _, _ in shop.observed} == {"other"}


async def test_requests_are_counted_by_the_template_of_their_path(shop: Shop) -> None:
    await shop.ask("GET", "/v1/things/a")
    assert shop.observed == [("GET", "/v1/things/{name}", 200)]


async def test_who_asks_comes_before_what_is_asked(shop: Shop) -> None:
    reply = await shop.ask("POST", "/v1/things", b"{", headers=OUTSIDER)
    assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
    assert shop.authorised == []


async def test_whether_one_may_comes_before_what_is_asked(shop: Shop) -> None:
    reply = await shop.ask("GET", "/v1/forbidden", query=b"limit=x")
    assert (reply.status, reply.json()) == (403, {"detail": "You may not"})
    assert shop.authorised == ["thing.forbidden"]


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (errors.Invalid("no"), 400),
        (errors.Unauthenticated("no"), 401),
        (errors.Forbidden("no"), 403),
        (errors.NotFound("no"), 404),
        (errors.Clash("no"), 409),
        (errors.Gone("no"), 410),
        (errors.LeaseLost("no"), 410),
        (errors.VersionMismatch("no"), 412),
        (errors.TooLarge("no"), 413),
        (errors.KeyReused("no"), 422),
        (errors.Frozen("no"), 423),
        (errors.RateLimited("no", retry_after=7), 429),
        (errors.Unavailable("no", retry_after=7), 503),
        (errors.StorageFull("no"), 507),
    ],
)
async def test_each_refusal_has_its_status_code_and_trace(
    shop: Shop, refusal: errors.RollbookError, status: int
) -> None:
    shop.refusal = refusal
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    reply = await shop.ask("POST", "/v1/refused", headers={"traceparent": trace})
    assert (reply.status, reply.json()["detail"]) == (status, "no")
    assert (reply.headers["x-error-code"], reply.headers["x-trace-id"]) == (refusal.code, "a" * 32)
    assert reply.headers.get("retry-after") == ("7" if status in (429, 503) else None)


async def test_a_kind_of_refusal_that_is_finer_has_the_status_of_its_kind(shop: Shop) -> None:
    class Vanished(errors.NotFound):
        """Was there once."""

    shop.refusal = Vanished("gone")
    assert (await shop.ask("POST", "/v1/refused")).status == 404


async def test_a_fault_of_ours_tells_nothing_of_the_inside(shop: Shop) -> None:
    shop.refusal = RuntimeError("secret at /home/rollbook")
    reply = await shop.ask("POST", "/v1/refused")
    assert (reply.status, reply.headers["x-error-code"]) == (500, "INTERNAL")
    assert b"secret" not in reply.body
    assert reply.json()["detail"] == "Internal Server Error"
    assert shop.observed[0][2] == 500


async def test_a_refusal_that_json_cannot_hold_as_it_is_still_arrives(shop: Shop) -> None:
    shop.refusal = errors.Frozen("no", who="ann", why="x", until=datetime(2026, 1, 1, tzinfo=UTC), freeze_id="f")
    reply = await shop.ask("POST", "/v1/refused")
    assert (reply.status, reply.json()["until"]) == (423, "2026-01-01T00:00:00+00:00")


@pytest.mark.parametrize("detail", ["\ud800", object()])
async def test_a_refusal_that_cannot_be_shown_is_a_fault_of_ours(shop: Shop, detail: object) -> None:
    shop.refusal = errors.Frozen("no", who=detail)
    assert (await shop.ask("POST", "/v1/refused")).status == 500


async def test_problem_details_name_who_froze_and_why(shop: Shop) -> None:
    reply = await shop.ask("GET", "/own/frozen")
    assert (reply.status, reply.headers["content-type"]) == (423, "application/problem+json")
    expected = {"title": "Locked", "status": 423, "detail": "Frozen for the holidays", "code": "FROZEN", "who": "ann"}
    assert expected.items() <= reply.json().items()


async def test_a_request_that_takes_too_long_is_a_503_to_repeat() -> None:
    shop = Shop(Limits(body_bytes=2000, json_depth=8, seconds=0.01))
    reply = await shop.ask("GET", "/v1/slow")
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert shop.observed == [("GET", "/v1/slow", 503)]


async def test_an_endpoint_that_itself_met_a_time_limit_is_a_fault_of_ours(shop: Shop) -> None:
    shop.refusal = TimeoutError()
    assert (await shop.ask("POST", "/v1/refused")).status == 500


async def test_what_was_read_while_the_store_was_lost_is_read_again(shop: Shop) -> None:
    shop.losing = 2
    assert (await shop.ask("GET", "/v1/shaken")).json() == 3
    shop.losing = 1000
    assert (await shop.ask("GET", "/v1/shaken")).status == 503


async def test_what_was_not_found_while_the_store_was_lost_is_looked_for_again(shop: Shop) -> None:
    shop.losing, shop.refusal = 2, errors.NotFound("Thing not found")
    assert (await shop.ask("GET", "/v1/shaken")).json() == 3
    shop.losing, shop.refusal = 1, errors.Unavailable("The store does not answer")
    assert ((await shop.ask("GET", "/v1/shaken")).status, shop.read) == (503, 4)


async def test_what_is_written_while_the_store_was_lost_is_not_written_again(shop: Shop) -> None:
    shop.losing = 1
    assert (await shop.ask("POST", "/v1/shaken")).json() == 1
