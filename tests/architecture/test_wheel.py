"""The wheel holds all that Rollbook needs: installed by itself, away from the source, it is whole."""

import os
import shutil
import site
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.architecture.test_shape import PACKAGES, ROOT

BESIDES = {"__pycache__", ".mypy_cache", ".ruff_cache"}


def uv(*arguments: str | Path) -> None:
    """Runs uv, which made this environment."""
    command = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    environment = {**os.environ, "UV_NATIVE_TLS": "1", "UV_SYSTEM_CERTS": "1"}
    done = subprocess.run([command, "--quiet", *arguments], env=environment, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one that would be published."""
    folder = tmp_path_factory.mktemp("wheel")
    uv("build", "--wheel", "--out-dir", folder, ROOT)
    return next(folder.glob("rollbook-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where its commands are in an environment that has our dependencies, and of ours only the wheel."""
    folder = tmp_path_factory.mktemp("environment")
    uv("venv", "--python", sys.executable, folder)
    uv("pip", "install", "--python", folder / "bin" / "python", "--offline", "--no-deps", wheel)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    return folder / "bin"


def run(command: Path, *arguments: str) -> str:
    """What it prints, away from the source."""
    done = subprocess.run(
        [command, *arguments],
        env={"PATH": "/usr/bin:/bin"},
        cwd=command.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def as_installed(path: Path) -> str:
    """Where the wheel has a file: what users import under its own name stands beside our packages."""
    return str(path.relative_to(ROOT)).removeprefix("entrypoints/sdk/")


def test_what_users_import_is_ours_and_needs_nothing_of_ours(installed: Path) -> None:
    source = "import sys, rollbook_subscriber as r; print(r.__file__, *sys.modules)"
    told = run(installed / "python", "-c", source).split()
    assert not told[0].startswith(str(ROOT)) and "site-packages" in told[0]
    assert not set(PACKAGES) & {name.partition(".")[0] for name in told[1:]}


def test_the_wheel_holds_every_file_of_our_packages_and_nothing_else(wheel: Path) -> None:
    files = {path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()}
    ours = {as_installed(path) for path in files if not BESIDES & set(path.parts)}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == ours
    assert any(name.endswith(".sql") for name in held)


def test_installed_by_itself_it_runs_and_finds_its_schema(installed: Path) -> None:
    assert "rebuild" in run(installed / "rollbook", "--help")
    told = run(
        installed / "python", "-c", "from adapters.postgres import migrations as m; print(m.__file__, *m.steps())"
    )
    assert str(ROOT) not in told
    for step in (ROOT / "adapters" / "postgres" / "schema").glob("*.sql"):
        assert step.stem in told


def test_its_servers_and_its_documentation_are_there(installed: Path) -> None:
    source = "from entrypoints.http import documentation; from adapters.embedded import postgres, nats; print('here')"
    assert run(installed / "python", "-c", source) == "here\n"
    assert "API_PORT" in run(installed / "rollbook", "config")
