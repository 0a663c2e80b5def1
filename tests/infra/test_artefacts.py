"""What runs Rollbook elsewhere is well-formed, and names only settings, commands and files that there are."""

import re
import tomllib
from configparser import RawConfigParser
from typing import Any

import kubernetes_validate
import pytest
import yaml

from adapters.settings import Settings
from entrypoints.cli.servers import commands
from tests.infra.ground import INFRA, ROOT, described

OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all((INFRA / "kubernetes" / "rollbook.yaml").read_text()))
DOCKERFILE = (INFRA / "Dockerfile").read_text()
UNITS = sorted((INFRA / "systemd").iterdir())
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
PARTS = {"up", "serve", "project", "relay", "work"}
SETTINGS = {name.upper() for name in Settings.model_fields}


def containers() -> list[dict[str, Any]]:
    """All containers of all pods."""
    pods = [o["spec"]["template"]["spec"] for o in OBJECTS if o["kind"] == "Deployment"]
    return [container for pod in pods for container in pod["containers"]]


@pytest.mark.parametrize("one", OBJECTS, ids=lambda o: f"{o['kind']}-{o['metadata']['name']}")
def test_the_kubernetes_manifests_are_valid(one: dict[str, Any]) -> None:
    kubernetes_validate.validate(one, "1.32", strict=True)


def test_a_manifest_with_a_misspelt_member_would_be_seen() -> None:
    (service,) = [o for o in OBJECTS if o["kind"] == "Service"]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**service, "spec": {**service["spec"], "selectors": {}}}, "1.32", strict=True)


def test_every_pod_is_ordinary_and_every_container_closed() -> None:
    for one in OBJECTS:
        if one["kind"] == "Deployment":
            assert one["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
    for container in containers():
        closed = container["securityContext"]
        assert closed["readOnlyRootFilesystem"] and closed["capabilities"] == {"drop": ["ALL"]}
        assert not closed["allowPrivilegeEscalation"]
        assert {m["mountPath"] for m in container["volumeMounts"]} >= {"/data", "/tmp"}


def test_kubernetes_runs_every_part_and_probes_it() -> None:
    assert {container["args"][0] for container in containers()} == PARTS - {"up"}
    for container in containers():
        ports = {port["name"] for port in container["ports"]}
        for probe, path in (("startupProbe", "/health"), ("readinessProbe", "/ready"), ("livenessProbe", "/health")):
            assert container[probe]["httpGet"]["path"] == path
            assert container[probe]["httpGet"]["port"] in ports
        assert container["image"] == f"rollbook:{VERSION}"


def test_what_selects_pods_finds_them() -> None:
    pods = [o["spec"]["template"]["metadata"]["labels"].items() for o in OBJECTS if o["kind"] == "Deployment"]
    for one in OBJECTS:
        selector = one.get("spec", {}).get("selector")
        if selector:
            wanted = selector.get("matchLabels", selector).items()
            assert sum(wanted <= labels for labels in pods) == 1, one["metadata"]


def test_only_settings_that_there_are_are_set() -> None:
    compose = described(INFRA / "compose.yaml")["services"]["rollbook"]["environment"]
    (configuration,) = [o for o in OBJECTS if o["kind"] == "ConfigMap"]
    named = {*compose, *configuration["data"], *re.findall(r"\b([A-Z]+_[A-Z_]+)=", DOCKERFILE)}
    named |= {variable["name"] for container in containers() for variable in container.get("env", [])}
    for unit in UNITS:
        lines = re.findall(r"^Environment=(.*)$", unit.read_text(), re.MULTILINE)
        named |= {pair.partition("=")[0] for line in lines for pair in line.split()}
    assert named <= SETTINGS


def test_the_image_runs_as_an_ordinary_user_and_tells_its_health() -> None:
    steps = re.findall(r"^([A-Z]+) (.*)$", DOCKERFILE, re.MULTILINE)
    last = [step for step in steps if step[0] in ("USER", "ENTRYPOINT", "CMD", "STOPSIGNAL")]
    assert last == [
        ("USER", "10001:10001"),
        ("STOPSIGNAL", "SIGTERM"),
        ("ENTRYPOINT", '["rollbook"]'),
        ("CMD", '["up"]'),
    ]
    assert "HEALTHCHECK" in DOCKERFILE and "/ready" in DOCKERFILE


def test_the_image_is_built_of_files_that_there_are_and_of_all_packages() -> None:
    copied = {name for names in re.findall(r"^COPY ([^-].*) \S+$", DOCKERFILE, re.MULTILINE) for name in names.split()}
    assert all((ROOT / name).exists() for name in copied)
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert copied >= {*wheel["only-include"], "pyproject.toml", "uv.lock"}


def test_compose_at_the_root_builds_this_image() -> None:
    (named,) = described(ROOT / "docker-compose.yml")["include"]
    compose = described(ROOT / named)
    (service,) = compose["services"].values()
    assert (ROOT / "infra" / service["build"]["context"] / service["build"]["dockerfile"]).resolve() == (
        INFRA / "Dockerfile"
    )
    assert service["image"] == f"rollbook:{VERSION}"
    kept = {volume.split(":")[0] for volume in service["volumes"] if not volume.endswith(":ro")}
    assert kept == set(compose["volumes"])


def test_compose_shows_secrets_of_environments_read_only() -> None:
    (service,) = described(INFRA / "compose.yaml")["services"].values()
    mounts = dict(volume.split(":", 1) for volume in service["volumes"])
    assert mounts["../secrets"] == f"{service['environment']['ENVIRONMENT_SECRETS_DIR']}:ro"
    for ignored in (".gitignore", ".dockerignore"):
        assert "secrets" in (ROOT / ignored).read_text().replace("/", "").splitlines()


def test_pods_share_what_packages_hold_and_see_secrets_of_environments_if_there_are_any() -> None:
    (configuration,) = [o["data"] for o in OBJECTS if o["kind"] == "ConfigMap"]
    (claim,) = [o for o in OBJECTS if o["kind"] == "PersistentVolumeClaim"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for pod in [o["spec"]["template"]["spec"] for o in OBJECTS if o["kind"] == "Deployment"]:
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for container in pod["containers"]:
            mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
            data = volumes[mounts["/data"]["name"]]
            assert data["persistentVolumeClaim"] == {"claimName": claim["metadata"]["name"]}
            secrets = mounts[configuration["ENVIRONMENT_SECRETS_DIR"]]
            assert secrets["readOnly"] is True
            assert volumes[secrets["name"]]["secret"]["optional"] is True


def test_settings_that_are_only_shown_are_there_too() -> None:
    for path in (INFRA / "kubernetes" / "rollbook.yaml", INFRA / "compose.yaml", *UNITS):
        comments = "\n".join(re.findall(r"^\s*#(.*)$", path.read_text(), re.MULTILINE))
        assert set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", comments)) <= SETTINGS


class Unit(RawConfigParser):
    """A unit of systemd: names may come again, and are told apart by their case."""

    def __init__(self) -> None:
        super().__init__(strict=False)

    def optionxform(self, optionstr: str) -> str:
        return optionstr


@pytest.mark.parametrize("unit", UNITS, ids=lambda u: u.name)
def test_units_start_what_there_is_as_an_ordinary_user(unit: Any) -> None:
    told = Unit()
    told.read_string(unit.read_text())
    service = told["Service"]
    assert service["User"] == "rollbook"
    assert service["ExecStart"].split()[-1] in {*PARTS, "%i"}
    assert int(service["TimeoutStopSec"]) > Settings.model_fields["drain_seconds"].default
    assert service["NoNewPrivileges"] == "true"
    secrets = service["ConfigurationDirectory"]
    assert f"Environment=ENVIRONMENT_SECRETS_DIR=/etc/{secrets}\n" in unit.read_text()


def test_the_parts_are_commands() -> None:
    named = {one.callback.__name__ for one in commands.registered_commands if one.callback}
    assert named == PARTS


def test_github_runs_make_test_on_every_python_that_we_support() -> None:
    workflow = described(ROOT / ".github" / "workflows" / "test.yml")
    job = workflow["jobs"]["test"]
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make test"]
    assert workflow["permissions"] == {"contents": "read"}
