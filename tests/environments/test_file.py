"""ENVIRONMENTS_FILE: what it may say, and how a bad one is refused."""

from pathlib import Path

import pytest

from adapters.environment_file import read_environments
from adapters.provenance import settings_with_origin
from adapters.settings import Settings, SettingsError, load_settings
from domain.dataset import DatabaseKind
from tests.cli.stand_in import rollbook

SECRET = "planted-password"
DSN = f"postgresql://ann:{SECRET}@host/shop"
GOOD = f"""
- name: production
  kind: postgresql
  dsn: {DSN}
  reader_dsn: file:reader
  organisation: ACME
- {{name: staging, kind: mysql, dsn: "env:SHOP"}}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the settings name."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("ENVIRONMENTS_FILE", str(tmp_path / "environments.yaml"))
    return tmp_path / "environments.yaml"


def test_a_file_lists_environments(file: Path) -> None:
    file.write_text(GOOD)
    production, staging = read_environments(file)
    assert (production.name, production.kind, production.organisation) == (
        "production",
        DatabaseKind.POSTGRESQL,
        "acme",
    )
    assert production.dsn.get_secret_value() == DSN
    assert (staging.reader_dsn, staging.organisation) == (None, None)
    assert load_settings().environments_file == file


def test_an_empty_file_lists_none(file: Path) -> None:
    file.write_text("# nothing yet\n")
    assert read_environments(file) == ()


ENTRY = f"name: a, kind: mysql, dsn: '{DSN}'"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"- {{{ENTRY}\n", "line 2: this is not YAML"),
        (f"- {{{ENTRY}, extra: {SECRET}}}", "entry 1.extra: Extra inputs are not permitted"),
        (f"- {{name: a, kind: {SECRET}, dsn: x}}", "entry 1.kind: Input should be 'postgresql', 'mysql' or 'mongodb'"),
        (f"- {{{ENTRY}}}\n- {{name: '{SECRET}/', kind: mysql, dsn: x}}", "entry 2.name: String should match"),
        (f"- {SECRET}", "entry 1: this is not an environment"),
        (f"- {{name: a, kind: mysql, dsn: [{SECRET}]}}", "entry 1.dsn: Input should be a valid string"),
        ("- {name: a, kind: mysql}", "entry 1.dsn: Field required"),
        ("- {name: a, kind: mysql, dsn: ''}", "entry 1.dsn: Value should have at least 1 item"),
        (f"environments: {SECRET}", "this is not a list"),
        (f"- {{{ENTRY}}}\n- {{{ENTRY}}}", "environment 'a' stands there twice"),
        (f"- {{{ENTRY}, organisation: Acme}}\n- {{{ENTRY}, organisation: acme}}", "environment 'a' stands there twice"),
        (f"- !!python/object/apply:os.system ['echo {SECRET}']", "this is not YAML"),
        ("\ud800".encode("utf-8", "surrogatepass"), "this is not YAML"),
        ("- " * 100_000, "this is not YAML"),
        ("x" * (1 << 21), "is larger than"),
    ],
)
def test_a_bad_file_is_one_clear_line_without_what_stands_there(file: Path, text: str | bytes, why: str) -> None:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SettingsError) as refused:
        load_settings()
    told = str(refused.value)
    assert told.startswith(f"ENVIRONMENTS_FILE: {file}") and why in told
    assert SECRET not in told and "\n" not in told


def test_a_file_that_is_not_there_is_told(file: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load_settings()


def test_a_process_does_not_start_with_a_bad_file(file: Path) -> None:
    file.write_text(f"- {{{ENTRY}, extra: {SECRET}}}")
    for command in ("up", "serve", "work", "config"):
        ended = rollbook(command, ENVIRONMENTS_FILE=str(file))
        assert ended.code == 2
        assert "ENVIRONMENTS_FILE" in ended.err and SECRET not in ended.err + ended.out
        assert len(ended.err.strip().splitlines()) == 1


def test_the_settings_are_shown_without_what_the_file_holds(file: Path) -> None:
    file.write_text(GOOD)
    shown = {name: value for name, value, _ in settings_with_origin(load_settings())}
    assert shown["ENVIRONMENTS_FILE"] == str(file)
    assert SECRET not in str(shown) + repr(read_environments(file))
