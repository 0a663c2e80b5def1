"""Puts a server span around each request, by OpenTelemetry's conventions for HTTP, where spans are exported."""

from typing import Any

from adapters.tracing import server_span
from entrypoints.http.api import METHODS, Api

LONGEST_TEXT = 200


class Traced:
    """The API, each request in a span; which route it took and how it ended is added by `answered`."""

    def __init__(self, api: Api) -> None:
        self.api = api

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request; anything else is passed on as it is."""
        if scope["type"] != "http":
            return await self.api(scope, receive, send)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        with server_span(headers, attributes(scope, headers)):
            await self.api(scope, receive, send)


def attributes(scope: Any, headers: dict[str, str]) -> dict[str, str | int]:
    """What is known of a request before it is routed. Queries and addresses stay out: they may be personal."""
    known = scope["method"] in METHODS
    facts: dict[str, str | int] = {
        "http.request.method": scope["method"] if known else "_OTHER",
        "url.scheme": scope.get("scheme", "http"),
        "url.path": scope["path"][:LONGEST_TEXT],
        "network.protocol.version": scope.get("http_version", "1.1"),
    }
    if not known:
        facts["http.request.method_original"] = scope["method"][:LONGEST_TEXT]
    if scope.get("server"):
        facts |= {"server.address": scope["server"][0], "server.port": scope["server"][1] or 0}
    if agent := headers.get("user-agent"):
        facts["user_agent.original"] = agent[:LONGEST_TEXT]
    return facts
