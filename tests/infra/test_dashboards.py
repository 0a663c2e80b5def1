"""Every metric and label that a dashboard or an alert names is told by /metrics of a running Rollbook."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Running
from tests.infra.ground import INFRA, described
from tests.jobs.conftest import Jobs
from tests.jobs.test_working import ECHO
from tests.management.scrape import scraped

SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
ALERTS: list[dict[str, Any]] = [
    rule for group in described(INFRA / "prometheus" / "alerts.yaml")["groups"] for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((INFRA / "grafana" / "rollbook.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
GROUPING = re.compile(r"\b(?:by|without)\s*\(([^)]*)\)")
BRACES = re.compile(r"(\w+)\{([^}]*)\}")
# What a collector adds to each sample.
ADDED = {"job", "instance"}
WORDS = {"by", "without", "or", "and", "unless", "on", "ignoring", "bool", "offset"}


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression with what it belongs to."""
    yield from ((alert["alert"], alert["expr"]) for alert in ALERTS)
    yield from ((panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"])


def metrics_of(expression: str) -> set[str]:
    """What is neither a function, a word of the language, a label nor a number."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"", "", GROUPING.sub("", expression))
    return {name for name in re.findall(r"\b[a-z_]\w*\b(?!\s*\()", bare) if name not in WORDS}


def labels_of(expression: str) -> set[str]:
    """The labels that samples are chosen and grouped by."""
    chosen = {name for _, inside in BRACES.findall(expression) for name in re.findall(r"(\w+)\s*(?:=|!)", inside)}
    grouped = {name.strip() for inside in GROUPING.findall(expression) for name in inside.split(",")}
    return chosen | grouped


@pytest.fixture
async def told(rollbook: Running, jobs: Jobs) -> dict[str, set[str]]:
    """Each name that /metrics tells after some traffic, with its labels."""
    body = {"name": "shop", "version": "1", "provider": "gcp", "environment": "production", "type": "k8s"}
    made = [(await rollbook.client.post("/v1/deployments", json=body)).json()["id"] for _ in range(2)]
    for one in made:
        assert (await rollbook.client.patch(f"/v1/deployments/{one}", json={"status": "deployed"})).status_code == 200
    assert (await rollbook.client.post(f"/v1/deployments/{made[1]}/rollback")).status_code == 201
    await rollbook.client.post("/v1/deployments", json=body)
    newest = (await rollbook.client.post("/v1/deployments", json=body)).json()["id"]
    await rollbook.client.patch(f"/v1/deployments/{newest}", json={"status": "deployed"})
    jobs.handle(ECHO)
    jobs.dispatch()
    jobs.work()
    await jobs.until(await jobs.ask(), "completed")
    jobs.stop.set()
    await asyncio.wait_for(asyncio.gather(*jobs.tasks), 20)
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(await scraped(rollbook)):
        for suffix in SUFFIXES.get(family.type, ()):
            named = {name for s in family.samples if s.name == family.name + suffix for name in s.labels}
            found[family.name + suffix] = named
    return found


async def test_every_metric_that_is_named_is_told_with_its_labels(told: dict[str, set[str]]) -> None:
    for title, expression in expressions():
        named = metrics_of(expression)
        assert named, title
        assert named <= told.keys(), title
        labels = set.union(*(told[name] for name in named)) | ADDED
        assert labels_of(expression) <= labels, title


async def test_every_metric_of_ours_is_on_the_dashboard(told: dict[str, set[str]]) -> None:
    shown = set.union(*(metrics_of(target["expr"]) for panel in PANELS for target in panel["targets"]))
    ours = {name for name in told if not name.startswith(("python_", "process_"))}
    kinds = {re.sub(r"_(bucket|sum|count)$", "", name) for name in ours}
    assert kinds == {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}


def test_an_expression_is_taken_apart() -> None:
    expression = 'histogram_quantile(0.99, sum by (le, x) (rate(a_bucket{b=~"5..", c="$d"}[5m]))) > 1 or vector(e)'
    assert metrics_of(expression) == {"a_bucket", "e"}
    assert labels_of(expression) == {"le", "x", "b", "c"}


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for alert in ALERTS:
        assert alert["labels"]["severity"] in ("critical", "warning", "info")
        assert alert["annotations"].keys() == {"summary", "description"}


def test_panels_have_a_place_of_their_own_and_one_source() -> None:
    places = [tuple(panel["gridPos"][side] for side in "xywh") for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places) == len({panel["id"] for panel in DASHBOARD["panels"]})
    assert all(x + w <= 24 for x, _, w, _ in places)
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${source}"}
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"source", "job"}
