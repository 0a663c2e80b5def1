"""The pages that explain the API and its feed: /docs, /redoc, /asyncapi, without a request to another origin."""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import orjson

from domain.errors import NotFound
from entrypoints.http.asyncapi import async_document
from entrypoints.http.errors import detail_errors
from entrypoints.http.openapi import document
from entrypoints.http.routing import Answer, Call, Interface

ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "redoc.standalone.js": "text/javascript",
    "favicon.png": "image/png",
    "swagger.js": "text/javascript",
    "asyncapi.js": "text/javascript",
    "asyncapi.css": "text/css",
}
OWN = Path(__file__).parent / "pages"
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "worker-src blob:; child-src blob:; font-src 'self' data:; frame-ancestors 'none'"
)
START_SWAGGER = b"""SwaggerUIBundle({url: "/openapi.json", dom_id: "#page", deepLinking: true, validatorUrl: null});"""
SWAGGER = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Rollbook API</title>
<link rel="icon" href="/docs/assets/favicon.png"><link rel="stylesheet" href="/docs/assets/swagger-ui.css"></head>
<body><div id="page"></div><script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/assets/swagger.js"></script></body></html>"""
REDOC = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Rollbook API</title>
<link rel="icon" href="/docs/assets/favicon.png"></head><body>
<redoc spec-url="/openapi.json" hide-loading disable-search></redoc>
<script src="/docs/assets/redoc.standalone.js"></script></body></html>"""

ASYNCAPI = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Rollbook's feed</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="/docs/assets/favicon.png"><link rel="stylesheet" href="/docs/assets/asyncapi.css"></head>
<body><main id="page"></main><script src="/docs/assets/asyncapi.js"></script></body></html>"""


def documentation(interfaces: Sequence[Interface]) -> Interface:
    """The routes of the pages; anybody may read them."""
    pages = Interface("documentation", "/", detail_errors)
    prepared = orjson.dumps(document(interfaces))
    explain_feed(pages)

    @pages.get("/openapi.json", open=True)
    async def openapi(call: Call) -> Answer:
        return Answer(body=prepared)

    @pages.get("/docs", open=True)
    async def swagger(call: Call) -> Answer:
        return page(SWAGGER)

    @pages.get("/redoc", open=True)
    async def redoc(call: Call) -> Answer:
        return page(REDOC)

    @pages.get("/docs/assets/{name}", open=True)
    async def asset(call: Call, name: str) -> Answer:
        if name not in ASSETS:
            raise NotFound("Not Found")
        return Answer(body=content(name), media_type=ASSETS[name], headers={"cache-control": "max-age=86400"})

    return pages


def explain_feed(pages: Interface) -> None:
    """Adds the document of the feed and its page."""

    @pages.get("/asyncapi.json", open=True)
    async def asyncapi(call: Call) -> Answer:
        return Answer(body=told_of_feed())

    @pages.get("/asyncapi", open=True)
    async def asyncapi_page(call: Call) -> Answer:
        return page(ASYNCAPI)


def page(html: str) -> Answer:
    """A page that may load nothing from elsewhere."""
    return Answer(body=html.encode(), media_type="text/html", headers={"content-security-policy": POLICY})


@cache
def told_of_feed() -> bytes:
    """The AsyncAPI document, made when somebody asks for it first."""
    return orjson.dumps(async_document())


@cache
def content(name: str) -> bytes:
    """One of the files that the pages load, as its package ships it."""
    if name == "swagger.js":
        return START_SWAGGER
    if (OWN / name).is_file():
        return (OWN / name).read_bytes()
    package = find_spec("fastapi_offline")
    if package is None or package.origin is None:
        raise NotFound("Not Found")
    return (Path(package.origin).parent / "static" / name).read_bytes()
