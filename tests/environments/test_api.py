"""Environments over HTTP: added, changed, removed and listed, now and as they were."""

from typing import Any

import pytest

from tests.environments.conftest import PASSWORD, Environments

pytestmark = pytest.mark.asyncio(loop_scope="session")
ELSEWHERE = "file:elsewhere"


async def test_an_environment_is_added_and_shown(environments: Environments) -> None:
    added = await environments.add(reader_dsn="file:reader")
    shown = (await environments.ask("GET", "/staging"))["environment"]
    assert added == {"environment": shown, "message": "Environment added successfully"}
    assert (shown["name"], shown["kind"], shown["origin"]) == ("staging", "postgresql", "api")
    assert (shown["dsn"], shown["reader_dsn"]) == ("file:staging", "file:reader")
    assert shown["created_at"].endswith("Z")
    assert shown["created_by"] == shown["updated_by"] == "local-dev"


async def test_a_name_stands_for_one_database(environments: Environments) -> None:
    await environments.add()
    refused = await environments.add(dsn="file:other", expect=409)
    assert refused == {"error": "There is an environment 'staging' already"}
    assert (await environments.ask("GET", "/staging"))["environment"]["dsn"] == "file:staging"


async def test_environments_are_listed_by_name_page_by_page(environments: Environments) -> None:
    for name in ("b", "a", "C"):
        await environments.add(name)
    await environments.add("d", kind="mysql")
    assert await environments.names() == ["C", "a", "b", "d"]
    assert await environments.names(limit=2, offset=1) == ["a", "b"]
    assert await environments.names(kind="mysql") == ["d"]
    assert (await environments.ask("GET", params={"limit": 1}))["count"] == 1


async def test_its_secrets_are_found_elsewhere_after_a_change(environments: Environments) -> None:
    await environments.add(reader_dsn="file:reader")
    await environments.ask("PUT", "/staging", json={"dsn": ELSEWHERE})
    shown = (await environments.ask("GET", "/staging"))["environment"]
    assert (shown["dsn"], shown["reader_dsn"], shown["kind"]) == (ELSEWHERE, None, "postgresql")
    await environments.ask("PUT", "/other", json={"dsn": ELSEWHERE}, expect=404)


async def test_a_change_that_changes_nothing_is_not_recorded(environments: Environments) -> None:
    await environments.add()
    head = await environments.rollbook.app.log.head()
    await environments.ask("PUT", "/staging", json={"dsn": "file:staging"})
    assert await environments.rollbook.app.log.head() == head


async def test_a_name_that_was_removed_is_free_again(environments: Environments) -> None:
    await environments.add()
    removed = await environments.ask("DELETE", "/staging")
    assert removed == {"message": "Environment removed successfully", "name": "staging"}
    assert await environments.names() == []
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/test")):
        refused = await environments.ask(method, f"/staging{path}", expect=404)
        assert refused == {"error": "Environment 'staging' not found"}
    await environments.add(kind="mysql")
    assert (await environments.ask("GET", "/staging"))["environment"]["kind"] == "mysql"


async def test_the_past_is_shown_as_it_was(environments: Environments) -> None:
    log = environments.rollbook.app.log
    before = await log.head()
    await environments.add()
    added = await log.head()
    await environments.ask("PUT", "/staging", json={"dsn": ELSEWHERE})
    changed = await log.head()
    await environments.ask("DELETE", "/staging")
    then = {at: await environments.names(as_of=at) for at in (before, added, changed, await log.head())}
    assert list(then.values()) == [[], ["staging"], ["staging"], []]
    for at, dsn in ((added, "file:staging"), (changed, ELSEWHERE)):
        assert (await environments.ask("GET", "/staging", params={"as_of": at}))["environment"]["dsn"] == dsn
    await environments.ask("GET", "/staging", params={"as_of": before}, expect=404)


async def test_a_request_that_comes_again_is_answered_as_the_first_time(environments: Environments) -> None:
    request: dict[str, Any] = {
        "headers": {"Idempotency-Key": "one"},
        "json": {"name": "staging", "kind": "postgresql", "dsn": "file:staging"},
    }
    first = await environments.ask("POST", expect=201, **request)
    await environments.ask("DELETE", "/staging")
    again = await environments.ask("POST", expect=201, **request)
    assert again == first
    assert await environments.names() == []


async def test_a_dsn_itself_is_refused_and_neither_repeated_nor_recorded(environments: Environments) -> None:
    head = await environments.rollbook.app.log.head()
    for dsn in (f"postgresql://ann:{PASSWORD}@host/shop", f"dbname=shop password={PASSWORD}", "x" * 301 + PASSWORD):
        await environments.add(dsn=dsn, expect=400)
        await environments.add(reader_dsn=dsn, expect=400)
    assert await environments.rollbook.app.log.head() == head


async def test_a_secret_that_is_not_the_organisations_is_refused(environments: Environments) -> None:
    for dsn in ("env:MASTER_KEY", "env:ROLLBOOK_ENV_GLOBEX__STAGING", "file:../globex/staging"):
        refused = await environments.add(dsn=dsn, expect=400)
        assert environments.variable("NAME") in refused["error"]


async def test_a_name_is_one_plain_word(environments: Environments) -> None:
    for name in ("", ".", "..", "-a", "a/b", "a b", "a\0", "a\n", "ü", "x" * 101):
        assert (await environments.add(name, expect=400))["error"].startswith("name: ")


async def test_a_kind_that_nobody_knows_is_a_400(environments: Environments) -> None:
    assert (await environments.add(kind="oracle", expect=400))["error"].startswith("kind: ")


async def test_no_organisation_sees_or_changes_anothers(environments: Environments) -> None:
    await environments.add()
    globex = environments.elsewhere
    assert await globex.names() == []
    for method, body in (("GET", None), ("PUT", {"dsn": "file:x"}), ("DELETE", None)):
        await globex.ask(method, "/staging", expect=404, json=body)
    await globex.add(dsn="file:theirs")
    assert (await environments.ask("GET", "/staging"))["environment"]["dsn"] == "file:staging"


async def test_the_same_reference_is_another_secret_to_another_organisation(
    environments: Environments, shop: str, owner: str
) -> None:
    globex = environments.elsewhere
    for mine, dsn in ((environments, owner), (globex, shop)):
        await mine.add(dsn=mine.keep("staging", dsn))
    assert (await environments.find()).dsn == owner
    assert (await globex.find()).dsn == shop


async def test_what_the_operator_configured_is_listed_without_its_secrets(configured: Environments) -> None:
    assert await configured.names() == ["production", "staging"]
    assert await configured.elsewhere.names() == ["staging"]
    await configured.elsewhere.ask("GET", "/production", expect=404)
    shown = (await configured.ask("GET", "/production"))["environment"]
    assert (shown["origin"], shown["dsn"], shown["created_at"]) == ("file", None, None)
    assert await configured.names(as_of=await configured.rollbook.app.log.head()) == []


async def test_what_the_operator_configured_is_nobody_elses_to_change(configured: Environments) -> None:
    await configured.add(expect=409)
    await configured.ask("PUT", "/staging", json={"dsn": "file:x"}, expect=409)
    await configured.ask("DELETE", "/staging", expect=409)
    await configured.elsewhere.add("production", dsn="file:x")


async def test_no_secret_is_in_the_log(environments: Environments, owner: str) -> None:
    head = await environments.rollbook.app.log.head()
    await environments.add(dsn=environments.keep("staging", owner))
    await environments.ask("POST", "/staging/test")
    recorded = await environments.rollbook.app.log.read_after(head, 100)
    assert [event.topic for event in recorded][-2:] == ["environment.opened", "environment.added"]
    assert not [event for event in recorded if PASSWORD.encode() in event.payload + event.envelope_bytes]
