"""The OpenAPI 3.1 document, made from the same records as the routes."""

import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from pydantic import TypeAdapter

from entrypoints.http.routing import JSON, Interface, Route, summary

REFUSALS = {
    400: "The request makes no sense",
    401: "Nobody knows who is asking",
    403: "The caller may not do this",
    404: "There is no such thing in the caller's organisation",
    408: "The body did not arrive in time",
    409: "The request contradicts the present state",
    410: "The claim has ended",
    412: "If-Match names another version",
    413: "The request is too large",
    422: "A value is refused",
    423: "A freeze covers this",
    429: "Too many requests",
    503: "Something that is needed does not answer",
    507: "The disk of the event store is full",
}
COMPONENT = "#/components/schemas/{model}"
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A repeat with the same key answers what came of it the first time",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def document(interfaces: Sequence[Interface]) -> dict[str, Any]:
    """Everything a client can know."""
    schemas: dict[str, Any] = {"Error": error_schema()}
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


def error_schema() -> dict[str, Any]:
    """The body of every refusal."""
    listed = {"type": "array", "items": {"type": "object"}}
    return {"type": "object", "required": ["detail"], "properties": {"detail": {"anyOf": [{"type": "string"}, listed]}}}


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
    if not route.open:
        found.append({"name": "X-Organisation", "in": "header", "required": False, "schema": organisation_name()})
    if route.appends:
        found.append(IDEMPOTENCY_KEY)
    return found


def organisation_name() -> dict[str, Any]:
    """Which organisation a personal token speaks for."""
    return {"type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[A-Za-z0-9._-]+$"}


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
    described = TypeAdapter(model).json_schema(ref_template=COMPONENT, mode="validation")
    schemas |= described.pop("$defs", {})
    title = getattr(model, "__name__", "")
    if title and described.get("type") == "object":
        schemas[title] = described
        return {"$ref": COMPONENT.format(model=title)}
    return described


def responses(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    """The answer, and every refusal."""
    content = {JSON: {"schema": schema(route.answer, schemas)}} if route.answer else {}
    found: dict[str, Any] = {str(route.status): {"description": "Done", "content": content}}
    if route.path.endswith("/claim"):
        found["204"] = {"description": "Nothing may start"}
    if route.open:
        return found
    error = {JSON: {"schema": {"$ref": COMPONENT.format(model="Error")}}}
    return found | {str(status): {"description": text, "content": error} for status, text in REFUSALS.items()}
