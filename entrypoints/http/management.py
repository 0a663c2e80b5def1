"""The management port: health, readiness and metrics."""

import asyncio
import os
from collections.abc import Awaitable, Callable

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Problems = dict[str, str]
Readiness = Callable[[], Awaitable[tuple[Problems, Problems]]]
READY_SECONDS = 5.0


def management_app(readiness: Readiness, measure: Callable[[], Awaitable[None]]) -> Starlette:
    """`readiness` answers what fails, and what is merely degraded, each by its part; `measure` sets gauges, soon."""

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "healthy"})

    async def ready(request: Request) -> Response:
        failing, degraded = await in_time(readiness)
        if failing:
            return JSONResponse({"status": "not ready", "failing": failing}, 503)
        return JSONResponse({"status": "ready"} | ({"degraded": degraded} if degraded else {}))

    async def metrics(request: Request) -> Response:
        await measure()
        return Response(generate_latest(registry()), media_type=CONTENT_TYPE_LATEST)

    live = [Route(path, health) for path in ("/health", "/live")]
    return Starlette(routes=[*live, Route("/ready", ready), Route("/metrics", metrics)])


async def in_time(readiness: Readiness) -> tuple[Problems, Problems]:
    """The answer of `readiness`; none within READY_SECONDS is a failure too."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            return await readiness()
    except TimeoutError:
        return {"readiness": f"no answer within {READY_SECONDS:g} s"}, {}


def registry() -> CollectorRegistry:
    """This process's metrics, or those of all processes where they share a folder."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return together
