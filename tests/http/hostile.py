"""What every test of hostile input needs: all routes, a request to each that is in order, and what a refusal is."""

import asyncio
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
from pydantic import TypeAdapter, ValidationError

from entrypoints.http.interfaces import INTERFACES
from entrypoints.http.openapi import document
from entrypoints.http.routing import Route
from tests.conftest import Running

ROUTES: list[Route] = [route for interface in INTERFACES for route in interface.routes if not route.open]
DOCUMENT = document(INTERFACES)
NOBODY = "00000000-0000-4000-8000-000000000000"
LANE = {"name": "shop", "provider": "gcp", "cloud_account_id": "account", "region": "eu", "cell": "one"}
RELEASE = {"version": "1", "environment": "production", "type": "k8s", "committed_at": "2026-01-01T00:00:00Z"}
TEXTS = ("commit_sha", "pipeline_extra_params", "description", "notes", "build_uri", "deployment_uri", "resource")
SCOPE = {"name": "shop", "provider": "gcp", "environment": "production"}
SELECTION: dict[str, Any] = {
    "filter": {
        "tables": ["text"],
        "collections": ["text"],
        "where_clause": {"text": "text"},
        "exclude_columns": {"text": ["text"]},
        "exclude_fields": {"text": ["text"]},
    },
    "include_parent": True,
    "include_related": True,
    "max_depth": 2,
    "masks": {"text": {"text": "hash"}},
    "virtual_foreign_keys": [
        {"table": "text", "columns": ["text"], "referenced_table": "text", "referenced_columns": ["text"]}
    ],
    "match_keys": {"text": ["text"]},
    "references": [{"source_collection": "text", "source_field": "text", "target_collection": "text"}],
    "id_strategies": {"text": "preserve"},
    "package_type": "database",
    "environment": "text",
}
IN_ORDER: dict[str, Any] = {
    "create_deployment": {**LANE, **RELEASE, **dict.fromkeys(TEXTS, "text"), "auto": True},
    "update_deployment": {"status": "deployed", "notes": "text", "deployment_uri": "text", "lease": 1, "override": "x"},
    "claim_deployment": {"lanes": [LANE], "runner": "runner", "lease_seconds": 60, "override": "text"},
    "prolong_claim": {"fence": 1, "lease_seconds": 60},
    "approve_deployment": {"reason": "text"},
    "correct": {"went_live_at": "2026-01-01T00:00:00Z", "reason": "text"},
    "release_hold": {**LANE, "reason": "text"},
    "declare_freeze": {"scope": SCOPE, "reason": "text", "until": "2999-01-01T00:00:00Z"},
    "lift_freeze": {"reason": "text"},
    "make_bundle": {"from": "0", "to": "0", "lanes": [], "redact": True, "names": {"text": "text"}},
    "report_incident": {
        "title": "text",
        "began_at": "2026-01-01T00:00:00Z",
        "reference": "text",
        "deployments": [{"deployment_id": NOBODY, "relation": "caused"}],
    },
    "link_deployment": {"deployment_id": NOBODY, "relation": "fixed"},
    "unlink_deployment": {"deployment_id": NOBODY, "relation": "fixed", "reason": "text"},
    "resolve_incident": {"ended_at": "2026-01-01T00:00:00Z"},
    "reopen_incident": {"reason": "text"},
    "request_export": {"from": "0", "to": "1", "filters": {"topic": "text", "actor": "text", "text": "text"}},
    "replace_teams": {"teams": {"text": ["text"]}},
    "set_rules": {
        "approval": [{"scope": SCOPE, "claims": {"team": "platform"}}],
        "roles": [{"role": "viewer", "claims": {"team": "platform"}}],
        "strict_transitions": True,
        "require_if_match": True,
    },
    "issue_token": {"name": "text", "role": "viewer", "scope": ["lane.read"], "expires_at": "2999-01-01T00:00:00Z"},
    "add_environment": {"name": "staging", "kind": "postgresql", "dsn": "file:dsn", "reader_dsn": "file:reader"},
    "change_environment": {"dsn": "file:dsn", "reader_dsn": "file:reader"},
    "create_package": {
        **SELECTION,
        "name": "text",
        "version": "text",
        "description": "text",
        "metadata": {"text": "text"},
        "dependencies": [f"pkg-{NOBODY}"],
        "run_as_background": True,
    },
    "preview_package": SELECTION,
    "update_package": {"description": "text", "status": "archived", "tags": ["text"], "metadata": {}},
    "generate_package": {
        "format": "zip",
        "tables": ["text"],
        "collections": ["text"],
        "where_clause": {"text": "text"},
        "background": True,
    },
    "cancel_job": {"reason": "text"},
    "deploy_package": {
        "environment": "text",
        "run_as_background": True,
        "schedule_at": "2999-01-01T00:00:00Z",
        "options": {"skip_existing": True, "batch_size": 100, "transaction_size": 1000, "dry_run": False},
    },
    "show_differences": {"environment": "text", "options": {"update_existing": True}},
    "roll_back_data_deployment": {"reason": "text", "force": True},
    "import_upload": {"environment": "text"},
    "rebind_owner": {"owner": "42", "reason": "text"},
    "add_webhook": {"name": "text", "url": "https://8.8.8.8", "filters": {"topics": ["*"], "names": ["text"]}},
    "change_webhook": {"name": "text", "url": "https://8.8.8.8", "filters": {"topics": ["*"]}},
    "pause_webhook": {"reason": "text"},
    "replay_deliveries": {"after": "0"},
}

# Headers without which a route is asked for nothing.
NEEDED: dict[str, dict[str, str]] = {
    "begin_upload": {"Upload-Length": "1"},
    "continue_upload": {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"},
    "import_package": {"Content-Type": "application/json"},
}


def with_body() -> list[Route]:
    """The routes that take a body."""
    return [route for route in ROUTES if route.body]


def in_order(route: Route) -> Any:
    """A body that the route takes."""
    return IN_ORDER[route.endpoint.__name__]


def path_of(route: Route, segment: str = NOBODY) -> str:
    """The route's path, about something that does not exist."""
    return re.sub(r"\{\w+\}", lambda _: segment, route.path)


def query_of(route: Route) -> dict[str, str]:
    """The parameters that the route cannot do without."""
    fields = route.query.model_fields if route.query else {}
    return {name: {"provider": "gcp"}.get(name, "shop") for name, field in fields.items() if field.is_required()}


def places(value: Any, kind: type, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where a value of this kind stands within."""
    if type(value) is kind:
        yield path
    members: Iterable[Any] = value.items() if isinstance(value, dict) else ()
    members = enumerate(value) if isinstance(value, list) else members
    for name, member in members:
        yield from places(member, kind, (*path, name))


def replaced(value: Any, path: tuple[str | int, ...], by: Any) -> Any:
    """The same with another value at this place."""
    if not path:
        return by
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(copy[path[0]], path[1:], by)
    return copy


def documented(route: Route) -> dict[str, Any]:
    """The answers that the OpenAPI document has for the route, by status."""
    found: dict[str, Any] = DOCUMENT["paths"][route.path][route.method.lower()]["responses"]
    return found


def complaint(route: Route, answer: Any, statuses: Iterable[int]) -> str | None:
    """What is wrong with a refusal, if anything: its status, its shape or its headers."""
    if answer.status_code not in statuses:
        return f"{answer.status_code}: {answer.content[:200]!r}"
    # What has no route, or another method, is answered without one.
    if answer.status_code not in (404, 405) and str(answer.status_code) not in documented(route):
        return f"{answer.status_code} is not documented"
    if not {"x-error-code", "x-trace-id"} <= answer.headers.keys():
        return f"headers: {dict(answer.headers)}"
    if answer.headers["content-type"] != route.errors.media_type:
        return f"content type: {answer.headers['content-type']}"
    if route.method == "HEAD":
        return None
    try:
        TypeAdapter(route.errors.model(answer.status_code)).validate_json(answer.content)
    except ValidationError as error:
        return f"shape: {error}"
    return None


class Siege:
    """Asks what must be refused, and keeps what was not, or not as it should be. `start` is the log's last position."""

    def __init__(self, rollbook: Running, start: int = 0) -> None:
        self.rollbook = rollbook
        self.start = start
        self.asked = 0
        self.wrong: list[str] = []

    async def refused(self, route: Route, what: str, statuses: Iterable[int], **request: Any) -> None:
        """One request; `path`, `params`, `json` and `headers` are in order unless given."""
        facts = {"params": query_of(route), **request}
        if route.body and "content" not in facts:
            facts.setdefault("json", in_order(route))
        facts["headers"] = {**NEEDED.get(route.endpoint.__name__, {}), **facts.get("headers", {})}
        path, method = facts.pop("path", path_of(route)), facts.pop("method", route.method)
        answer = await self.rollbook.client.request(method, path, **facts)
        self.asked += 1
        if problem := complaint(route, answer, {route.errors.status(status) for status in statuses}):
            self.wrong.append(f"{route.method} {route.path} [{what}] {problem}")

    async def unfit(self, route: Route, method: str) -> None:
        """Another method at this path; only HEAD may go without a body."""
        answer = await self.rollbook.client.request(method, path_of(route))
        self.asked += 1
        problem = complaint(route, answer, {405}) if method != "HEAD" else None
        if problem or answer.status_code != 405 or route.method not in answer.headers.get("allow", ""):
            self.wrong.append(f"{method} {route.path}: {problem or answer}")

    async def held(self) -> None:
        """Nothing came through, and nothing was recorded."""
        assert self.asked, "nothing was tried"
        assert not self.wrong, "\n".join(self.wrong[:50])
        assert await self.rollbook.app.log.head() == self.start, "something was recorded"


async def exchange(url: str, *pieces: bytes, ends: bool = False) -> httpx2.Response:
    """Sends bytes over a connection of its own, and reads until the server hangs up: the first answer."""
    where = urlsplit(url)
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        try:
            for piece in pieces:
                writer.write(piece)
            if ends:
                writer.write_eof()
            return parsed(await reader.read())
        finally:
            writer.close()


def parsed(answer: bytes) -> httpx2.Response:
    """The first answer among these bytes."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    body = rest[: int(headers.get("content-length", "0"))]
    return httpx2.Response(int(status.split()[1]), headers=headers, content=body)
