"""What README promises to be there is there."""

import re
from pathlib import Path

import pytest

from adapters.settings import Settings
from entrypoints.cli.main import MODULES
from entrypoints.http.interfaces import INTERFACES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE))))
def test_every_make_target_that_readme_names_exists(target: str) -> None:
    assert target in TARGETS


@pytest.mark.parametrize("name", sorted(set(re.findall(r"rollbook ([a-z]+)", README))))
def test_every_command_that_readme_names_exists(name: str) -> None:
    assert name in MODULES


def test_every_setting_that_readme_names_exists() -> None:
    of_clients = {
        "DEV_DSN",
        "STAGING_DSN",
        "API_URL",
        "GITHUB_TOKEN",
        "SECRETS_DIR",
        "ROLLBOOK_TOKEN",
        "ROLLBOOK_LEASE",
    }
    named = set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", README)) - {"ROLLBOOK_ENV_"}
    assert named <= {name.upper() for name in Settings.model_fields} | of_clients


def test_every_path_that_readme_names_is_served() -> None:
    served = {re.sub(r"{[^}]+}", "{id}", route.path) for interface in INTERFACES for route in interface.routes}
    named = set(re.findall(r"(?:GET|POST|PUT|PATCH|DELETE)`? `?(/v1/[a-z0-9/{}-]+)", README))
    assert named
    assert named <= served
