"""What runs Rollbook elsewhere is well-formed, and names only what exists."""

import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from prometheus_client import REGISTRY

from adapters import metrics

INFRA = Path(__file__).parent.parent.parent / "infra"
OBJECTS = list(yaml.safe_load_all((INFRA / "kubernetes" / "rollbook.yaml").read_text()))


@pytest.mark.parametrize("described", OBJECTS, ids=lambda d: d["kind"])
def test_the_kubernetes_manifests_are_valid(described: dict[str, object]) -> None:
    kubernetes_validate.validate(described, "1.32", strict=True)


def test_alerts_name_metrics_that_exist() -> None:
    assert metrics.HTTP_REQUESTS
    known = {sample for family in REGISTRY.collect() for sample in (family.name, f"{family.name}_total")}
    rules = yaml.safe_load((INFRA / "prometheus" / "alerts.yaml").read_text())["groups"][0]["rules"]
    for rule in rules:
        named = re.findall(r"\b(?:rollbook|http|deployments?|auth|rollbacks)_[a-z_]+", rule["expr"])
        assert named
        assert {n.removesuffix("_bucket") for n in named} <= known, rule["alert"]


def test_the_container_runs_as_an_ordinary_user_and_tells_its_health() -> None:
    text = (INFRA / "Dockerfile").read_text()
    assert "USER rollbook" in text
    assert "HEALTHCHECK" in text


def test_compose_at_the_root_points_here() -> None:
    root = yaml.safe_load((INFRA.parent / "docker-compose.yml").read_text())
    (named,) = root["include"]
    assert yaml.safe_load((INFRA.parent / named).read_text())["services"].keys() == {"rollbook"}
