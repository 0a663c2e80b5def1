"""docs/webhooks.md shows a receiver and how to check signatures, which work as they stand there."""

import re
import threading
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest

from adapters import metrics
from adapters.webhooks.signing import headers, new_secret
from entrypoints.cli.webhooks import webhook
from tests.webhooks.conftest import Hooks

DOCUMENT = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
CHECK, RECEIVER = re.findall(r"```python\n(.+?)```", DOCUMENT, re.DOTALL)


@pytest.fixture
def shown() -> Iterator[tuple[dict[str, Any], HTTPServer]]:
    """What the document defines, and a server of it in a thread."""
    written: dict[str, Any] = {"__name__": "receiver"}
    for code in (CHECK, RECEIVER):
        exec(compile(code, "docs/webhooks.md", "exec", dont_inherit=True), written)
    written["Receiver"].log_message = lambda *_: None
    server = HTTPServer(("127.0.0.1", 0), written["Receiver"])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield written, server
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.mark.asyncio(loop_scope="session")
async def test_the_receiver_that_is_shown_takes_what_is_sent_and_refuses_others(
    hooks: Hooks, shown: tuple[dict[str, Any], HTTPServer]
) -> None:
    written, server = shown
    made = await hooks.add(f"http://127.0.0.1:{server.server_port}/", topics=["deployment.scheduled"])
    refused = await hooks.ask("POST", f"/{made['id']}/test")
    assert (refused["ok"], refused["status"]) == (False, 401)
    written["SECRET"] = made["secret"]
    await hooks.ask("POST", f"/{made['id']}/rotate-secret")
    await hooks.deploy()
    await hooks.settle()
    (delivery,) = await hooks.deliveries(made["id"])
    assert (delivery["state"], written["seen"]) == ("delivered", {delivery["id"]})


def test_what_was_sent_long_ago_or_was_changed_is_refused(shown: tuple[dict[str, Any], HTTPServer]) -> None:
    is_ours, time = shown[0]["is_ours"], shown[0]["time"]
    secret, now = new_secret(), int(time.time())
    told = headers([new_secret(), secret], "one", now, b"{}")
    assert is_ours(secret, told, b"{}")
    assert not is_ours(secret, told, b"{ }")
    assert not is_ours(new_secret(), told, b"{}")
    assert not is_ours(secret, {**told, "webhook-id": "two"}, b"{}")
    assert not is_ours(secret, headers([secret], "one", now - 301, b"{}"), b"{}")


def test_every_command_rule_and_metric_that_is_named_exists() -> None:
    named = set(re.findall(r"rollbook webhook ([a-z-]+)", DOCUMENT))
    assert named <= {command.name for command in webhook.registered_commands}
    gauges = (metrics.WEBHOOK_WAITING, metrics.WEBHOOK_DEAD, metrics.WEBHOOK_LAG)
    assert {gauge._name for gauge in gauges} <= set(re.findall(r"`(\w+)`", DOCUMENT))
    delivery = (Path(__file__).parents[2] / "entrypoints" / "workers" / "webhook_delivery.py").read_text()
    for rule in re.findall(r"rule `([a-z-]+)`", DOCUMENT):
        assert f'"{rule}"' in delivery
