"""The OpenAPI 3.1 document, made from the same records as the routes."""

import re
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

from pydantic import TypeAdapter

from domain import errors
from entrypoints.http.errors import (
    Broken,
    CutOff,
    HeadTooLarge,
    TooSlow,
    WrongMediaType,
    WrongMethod,
    declared_headers,
    status_of_kind,
)
from entrypoints.http.headers import IDEMPOTENCY_KEY, ORGANISATION, TRACEPARENT, Header
from entrypoints.http.routing import JSON, Interface, Route, summary

MEANING = {
    400: "The request makes no sense",
    401: "Nobody knows who is asking",
    403: "The caller may not do this",
    404: "There is no such thing in the caller's organisation",
    405: "The path has other methods",
    408: "The request did not arrive in time",
    409: "The request contradicts the present state",
    410: "The claim has ended, or what was asked for is not kept any longer",
    412: "If-Match names another version",
    413: "The request, or an event that it would record, is too large",
    415: "The body says that it is something else",
    422: "A value is refused, or an Idempotency-Key came with another request before",
    423: "A freeze covers this",
    429: "Too many requests",
    431: "The address and the headers are too large",
    500: "A fault of ours; what happened is in the log under the trace id",
    503: "Something that is needed does not answer",
    507: "The disk of the event store is full",
}
ANY_ROUTE = (WrongMethod, HeadTooLarge, Broken)
CLOSED_ROUTE = (
    errors.Invalid,
    errors.Unauthenticated,
    errors.Forbidden,
    errors.RateLimited,
    errors.Unavailable,
    errors.StorageFull,
)
READS_BODY = (CutOff, TooSlow, errors.TooLarge)
COMPONENT = "#/components/schemas/{model}"


def document(interfaces: Sequence[Interface]) -> dict[str, Any]:
    """Everything a client can know."""
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for interface in interfaces:
        for route in interface.routes:
            paths.setdefault(route.path, {})[route.method.lower()] = operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Rollbook", "version": version("rollbook"), "summary": "Deployments, remembered"},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    }


def operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    """One method of one path."""
    described: dict[str, Any] = {
        "operationId": route.endpoint.__name__,
        "summary": summary(route.endpoint),
        "tags": [route.tag],
        "parameters": parameters(route),
        "responses": responses(route, schemas),
    }
    if not route.open:
        described["security"] = [{"bearer": []}]
    if route.body:
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": schema(route.body, schemas)}}}
    if route.consumes:
        binary = {"schema": {"type": "string", "format": "binary"}}
        described["requestBody"] = {"required": True, "content": dict.fromkeys(route.consumes, binary)}
    return described


def parameters(route: Route) -> list[dict[str, Any]]:
    """Path, query and header parameters."""
    text = {"type": "string", "minLength": 1}
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": text} for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    if route.query:
        described = inlined(TypeAdapter(route.query).json_schema())
        required = described.get("required", [])
        for name, one in described.get("properties", {}).items():
            found.append({"name": name, "in": "query", "required": name in required, "schema": one})
    return found + [header_parameter(one) for one in request_headers(route)]


def request_headers(route: Route) -> list[Header]:
    """What a request may carry."""
    found = [] if route.open else [ORGANISATION, TRACEPARENT]
    return [*found, *([IDEMPOTENCY_KEY] if route.appends else []), *route.takes]


def header_parameter(header: Header) -> dict[str, Any]:
    """A header of a request."""
    return {
        "name": header.name,
        "in": "header",
        "required": False,
        "description": header.meaning,
        "schema": header.schema,
    }


def inlined(described: dict[str, Any]) -> dict[str, Any]:
    """A schema whose definitions stand where they are used."""
    definitions = described.pop("$defs", {})

    def put_in(value: Any) -> Any:
        if isinstance(value, dict):
            if reference := value.get("$ref"):
                return put_in(definitions[reference.rsplit("/", 1)[1]])
            return {name: put_in(member) for name, member in value.items()}
        return [put_in(one) for one in value] if isinstance(value, list) else value

    result: dict[str, Any] = put_in(described)
    return result


def schema(model: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """A reference to the model's schema, which is added to the components."""
    described, definitions = schema_of(model)
    schemas |= definitions
    title = getattr(model, "__name__", "")
    if title and described.get("type") == "object":
        schemas[title] = described
        return {"$ref": COMPONENT.format(model=title)}
    return described


@cache
def schema_of(model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A model's schema and what it refers to; most models are met at many routes, and making one takes long."""
    described = TypeAdapter(model).json_schema(ref_template=COMPONENT, mode="validation")
    return described, described.pop("$defs", {})


def responses(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    """The answer, the answers without a body, and every refusal."""
    found = {route.status: described_answer("Done", content(route.answer, schemas, route.media_type), route.gives)}
    found |= {
        status: described_answer("Done so far", content(model, schemas), route.gives)
        for status, model in route.also.items()
    }
    found |= {status: described_answer(meaning, {}, ()) for status, meaning in route.empty.items()}
    for status in sorted({route.errors.status(status_of_kind(kind)) for kind in refusals(route)}):
        body = content(route.errors.model(status), schemas, route.errors.media_type)
        found[status] = described_answer(MEANING[status], body, declared_headers(status))
    return {str(status): one for status, one in found.items()}


def refusals(route: Route) -> set[type[errors.RollbookError]]:
    """Every kind of refusal that the route can give: what follows from its record, and its own."""
    found: set[type[errors.RollbookError]] = {*ANY_ROUTE, *route.raises}
    if not route.open:
        found |= set(CLOSED_ROUTE)
    if route.method not in ("GET", "HEAD"):
        found |= set(READS_BODY)
    if route.body:
        found |= {WrongMediaType, errors.Unprocessable}
    if route.consumes:
        found.add(WrongMediaType)
    if route.query:
        found.add(errors.Unprocessable)
    if route.appends:
        found.add(errors.KeyReused)
    return found


def content(model: Any, schemas: dict[str, Any], media_type: str = JSON) -> dict[str, Any]:
    """A body by its media type; nothing where there is no body."""
    return {media_type: {"schema": schema(model, schemas)}} if model else {}


def described_answer(meaning: str, body: dict[str, Any], headers: tuple[Header, ...]) -> dict[str, Any]:
    """One answer: what it means, holds and carries."""
    found: dict[str, Any] = {"description": meaning}
    if body:
        found["content"] = body
    if headers:
        found["headers"] = {
            h.name: {"description": h.meaning, "required": h.always, "schema": h.schema} for h in headers
        }
    return found
