"""Why a deployment waits again whose runner fell silent."""

from datetime import UTC, datetime, timedelta

from entrypoints.workers.housekeeping import Housekeeping
from tests.conftest import Running
from tests.queue.conftest import Queue


async def test_a_lease_that_lapsed_is_why_it_waits_again(rollbook: Running) -> None:
    queue = Queue(rollbook.client)
    created = await queue.create()
    await queue.claim(lease_seconds=5)
    await queue.show(created)
    later = datetime.now(UTC) + timedelta(hours=1)
    rollbook.app.executor.clock = lambda: later
    await Housekeeping(rollbook.app).end_silent_claims()
    told = await queue.ask("GET", f"/v1/deployments/{created['id']}/why")
    assert [one["kind"] for one in told["verdict"]["reasons"]] == ["next", "lease_lapsed"]
    assert [link["topic"] for link in told["chain"]][-1] == "deployment.claim_lapsed"
