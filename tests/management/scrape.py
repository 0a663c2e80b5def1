"""What /metrics says of a running Rollbook, as a collector reads it."""

import httpx2
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from entrypoints.http.management import management_app
from entrypoints.workers.condition import Condition
from tests.conftest import Running


async def scrape(running: Running) -> list[Sample]:
    """Every sample."""
    return [sample for family in text_string_to_metric_families(await scraped(running)) for sample in family.samples]


async def scraped(running: Running) -> str:
    """The whole text."""
    condition = Condition(running.app, frozenset({"serve"}), None, None)
    transport = httpx2.ASGITransport(app=management_app(condition.readiness, condition.measure))
    async with httpx2.AsyncClient(transport=transport, base_url="http://management.test") as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    return answer.text
