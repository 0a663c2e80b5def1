"""The management port, and the names that dashboards know."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx2
import pytest
from prometheus_client import REGISTRY

from adapters import metrics
from entrypoints.http import management
from entrypoints.http.management import Problems, management_app

Answer = tuple[Problems, Problems]


async def get(path: str, failing: Problems | None = None, degraded: Problems | None = None) -> httpx2.Response:
    async def readiness() -> Answer:
        return failing or {}, degraded or {}

    return await asked(path, readiness)


async def nothing() -> None:
    """Nothing to measure."""


async def asked(path: str, readiness: Callable[[], Awaitable[Answer]]) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=management_app(readiness, nothing))
    async with httpx2.AsyncClient(transport=transport, base_url="http://management.test") as client:
        return await client.get(path)


@pytest.mark.parametrize("path", ["/health", "/live"])
async def test_a_running_process_is_healthy_even_while_it_is_not_ready(path: str) -> None:
    answer = await get(path, failing={"store": "down"})
    assert (answer.status_code, answer.json()) == (200, {"status": "healthy"})


async def test_ready_says_no_more_than_that_when_all_is_well() -> None:
    answer = await get("/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


async def test_a_degraded_process_is_still_ready() -> None:
    answer = await get("/ready", degraded={"nats": "down"})
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "degraded": {"nats": "down"}})


async def test_a_failing_part_makes_it_not_ready() -> None:
    answer = await get("/ready", failing={"store": "down"})
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready", "failing": {"store": "down"}})


async def test_a_check_that_hangs_makes_it_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang() -> Answer:
        await asyncio.Event().wait()
        return {}, {}

    monkeypatch.setattr(management, "READY_SECONDS", 0.01)
    answer = await asked("/ready", hang)
    assert answer.status_code == 503 and "readiness" in answer.json()["failing"]


async def test_metrics_carry_what_was_counted_under_the_names_of_the_contract() -> None:
    metrics.INFO.labels("1.2.3").set(1)
    metrics.CREATED.labels("acme", "gcp", "production", "auto").inc()
    answer = await get("/metrics")
    assert "# HELP deployment_queue_info Deployment Queue API information" in answer.text
    assert 'deployment_queue_info{version="1.2.3"} 1.0' in answer.text
    assert 'deployments_created_total{environment="production",organisation="acme",provider="gcp"' in answer.text


@pytest.mark.parametrize(
    ("metric", "labels"),
    [
        ("deployment_queue_info", {"version"}),
        ("http_requests_total", {"method", "endpoint", "status_code"}),
        ("http_request_duration_seconds", {"method", "endpoint"}),
        ("deployments_created_total", {"organisation", "provider", "environment", "trigger"}),
        ("deployments_updated_total", {"organisation", "status"}),
        ("deployments_skipped_total", {"organisation"}),
        ("rollbacks_total", {"organisation", "provider"}),
        ("auth_requests_total", {"method", "success"}),
        ("rollbook_events_appended_total", {"topic"}),
        ("rollbook_relay_lag_events", set()),
        ("rollbook_relay_position", set()),
    ],
)
def test_each_metric_has_its_labels(metric: str, labels: set[str]) -> None:
    collector = REGISTRY._names_to_collectors[metric]
    assert set(collector._labelnames) == labels  # type: ignore[attr-defined]


def test_a_long_environment_is_no_label() -> None:
    assert metrics.place("acme", "gcp", "x" * 100_000) == ("acme", "gcp", "other")
    assert metrics.place("acme", "gcp", "x" * 100) == ("acme", "gcp", "x" * 100)
