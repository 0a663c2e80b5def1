"""The API explains itself, offline, and its document agrees with its routes."""

import re
from inspect import isclass
from typing import Any, get_args

import orjson
import pytest
from pydantic import BaseModel

from entrypoints.http.asyncapi import async_document
from entrypoints.http.documentation import ASSETS
from entrypoints.http.interfaces import INTERFACES
from entrypoints.http.openapi import document
from tests.http.asgi import Shop


async def described(shop: Shop) -> Any:
    """The document as it is served."""
    return (await shop.ask("GET", "/openapi.json", headers={"authorization": ""})).json()


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/asyncapi"])
async def test_a_page_loads_only_what_is_served_here(shop: Shop, path: str) -> None:
    page = await shop.ask("GET", path, headers={"authorization": ""})
    assert (page.status, page.headers["content-type"]) == (200, "text/html")
    assert page.headers["content-security-policy"].startswith("default-src 'self';")
    loaded = re.findall(r'(?:src|href|spec-url)="([^"]+)"', page.body.decode())
    assert loaded
    for address in loaded:
        assert (await shop.ask("GET", address, headers={"authorization": ""})).status == 200


async def test_the_feed_is_described_to_anybody(shop: Shop) -> None:
    answer = await shop.ask("GET", "/asyncapi.json", headers={"authorization": ""})
    assert (answer.status, answer.body) == (200, orjson.dumps(async_document()))


@pytest.mark.parametrize("name", ASSETS)
async def test_an_asset_has_its_media_type(shop: Shop, name: str) -> None:
    asset = await shop.ask("GET", f"/docs/assets/{name}")
    assert (asset.headers["content-type"], bool(asset.body)) == (ASSETS[name], True)


@pytest.mark.parametrize("name", ["..", "redoc", "../../__init__.py", "index.html"])
async def test_nothing_else_of_the_package_is_served(shop: Shop, name: str) -> None:
    assert (await shop.ask("GET", f"/docs/assets/{name}")).status == 404


async def test_parameters_carry_their_place_and_limits(shop: Shop) -> None:
    parameters = (await described(shop))["paths"]["/v1/things"]["get"]["parameters"]
    limit = next(one for one in parameters if one["name"] == "limit")
    assert (limit["in"], limit["required"]) == ("query", False)
    assert {"minimum": 0, "maximum": 1000, "default": 100}.items() <= limit["schema"].items()


async def test_what_appends_takes_an_idempotency_key_and_what_reads_does_not(shop: Shop) -> None:
    methods = (await described(shop))["paths"]["/v1/things"]
    named = {method: {one["name"] for one in facts["parameters"]} for method, facts in methods.items()}
    assert "Idempotency-Key" in named["post"]
    assert "Idempotency-Key" not in named["get"]


async def test_every_operation_declares_its_answer_and_refusals(shop: Shop) -> None:
    operation = (await described(shop))["paths"]["/v1/things"]["post"]
    assert {"201", "401", "403", "413", "422", "429", "503"} <= operation["responses"].keys()
    assert operation["security"] == [{"bearer": []}]


def test_every_reference_of_the_whole_document_leads_somewhere() -> None:
    whole = document(INTERFACES)
    for reference in references(whole):
        assert reference.removeprefix("#/components/schemas/") in whole["components"]["schemas"]


def test_every_operation_has_a_name_of_its_own() -> None:
    operations = [one["operationId"] for path in document(INTERFACES)["paths"].values() for one in path.values()]
    assert len(operations) == len(set(operations))


def references(value: Any) -> list[str]:
    """Every $ref within."""
    if isinstance(value, list):
        return [found for one in value for found in references(one)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [found for one in value.values() for found in references(one)]


def test_no_two_models_of_answers_and_bodies_have_one_name() -> None:
    models = [m for i in INTERFACES for r in i.routes for m in (r.body, r.answer)]
    named: dict[str, set[type]] = {}
    for model in models:
        for one in inside(model):
            named.setdefault(one.__name__, set()).add(one)
    assert {name for name, ones in named.items() if len(ones) > 1} == set()


def inside(model: Any) -> set[type[BaseModel]]:
    """A model and those that its fields hold."""
    found: set[type[BaseModel]] = set()
    left = [model]
    while left:
        one = left.pop()
        left += get_args(one)
        if isclass(one) and issubclass(one, BaseModel) and one not in found:
            found.add(one)
            left += [field.annotation for field in one.model_fields.values()]
    return found
