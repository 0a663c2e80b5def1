"""What the settings accept, refuse and show."""

import ast
import base64
from pathlib import Path

import pytest
from dotenv import dotenv_values
from structlog.testing import capture_logs

from adapters.provenance import settings_with_origin, without_password
from adapters.settings import Settings, SettingsError, load_settings
from application.caller import Role

EXAMPLE = Path(__file__).parents[2] / ".env.example"


def row(name: str) -> tuple[str, str]:
    """The printed value of a setting and its origin."""
    return {found: (value, origin) for found, value, origin in settings_with_origin(load_settings())}[name]


def test_authentication_is_on_and_only_this_machine_is_served_by_default() -> None:
    settings = load_settings()
    assert settings.auth_enabled
    assert (settings.api_host, settings.api_port, settings.management_port) == ("127.0.0.1", 8000, 9090)


def test_allowed_organisations_are_lower_cased_and_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_ORGANISATIONS", "ACME, Globex,,")
    assert load_settings().allowed_organisations == {"acme", "globex"}


def test_an_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    assert load_settings().database_url is None


def test_other_issuers_are_read_from_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OIDC_ISSUERS", '[{"issuer": "https://id.test", "audience": "us", "role": "viewer"}]')
    (issuer,) = load_settings().oidc_issuers
    assert (issuer.issuer, issuer.role, issuer.actor_claim) == ("https://id.test", Role.VIEWER, "actor")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "rollbook.test"])
def test_an_open_api_is_refused_on_the_network(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_ENABLED", "false")
    monkeypatch.setenv("API_HOST", host)
    with pytest.raises(SettingsError, match="ALLOW_UNAUTHENTICATED_NETWORK"):
        load_settings()
    monkeypatch.setenv("ALLOW_UNAUTHENTICATED_NETWORK", "true")
    assert load_settings().api_host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_an_open_api_is_allowed_on_this_machine(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_ENABLED", "false")
    monkeypatch.setenv("API_HOST", host)
    assert not load_settings().auth_enabled


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_PORT", "70000"),
        ("READ_WAIT_MS", "-1"),
        ("REQUEST_TIMEOUT_SECONDS", "nan"),
        ("LOG_LEVEL", "loud"),
        ("AUTH_ENABLED", "perhaps"),
        ("MASTER_KEY", base64.b64encode(b"too short").decode()),
        ("MASTER_KEY", "hunter2"),
        ("OIDC_ISSUERS", '[{"issuer": "hunter2"}]'),
        ("OIDC_ISSUERS", '[{"issuer": "hunter2", "audience": "us"}]'),
        ("OIDC_ISSUERS", '[{"issuer": "https://id.test", "audience": "us", "jwks_uri": "hunter2"}]'),
        ("GITHUB_OIDC_ISSUER", "hunter2"),
        ("GITHUB_API_URL", "ftp://hunter2"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://ann:hunter2@"),
        ("DATABASE_URL", "hunter2"),
        ("DATABASE_OWNER_URL", "mysql://ann:hunter2@db"),
        ("NATS_URL", "hunter2"),
        ("NATS_URL", "nats://a:4222,http://ann:hunter2@b"),
        ("NATS_URL", "nats://ann:hunter2@["),
        ("NATS_URL", "nats://ann:hunter2@a:port"),
    ],
)
def test_a_bad_setting_is_one_line_with_its_name_and_without_its_value(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    line = str(refused.value)
    assert line.startswith(name) and "\n" not in line and "hunter2" not in line


@pytest.mark.parametrize("url", ["http://[::1]:8080/api/v3", "https://ann:word@traces.test?a=b", "http://127.0.0.1:1/"])
def test_an_address_on_the_web_may_have_all_its_parts(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_API_URL", url)
    issuer = f'[{{"issuer": "accounts.test", "audience": "us", "jwks_uri": "{url}"}}]'
    monkeypatch.setenv("OIDC_ISSUERS", issuer)
    settings = load_settings()
    assert settings.github_api_url == settings.oidc_issuers[0].jwks_uri == url


@pytest.mark.parametrize("content", [b"\xff\xfe", b"OIDC_ISSUERS=[{\n"])
def test_an_unreadable_file_is_one_line(content: bytes) -> None:
    Path(".env").write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert "\n" not in str(refused.value)


def test_a_secrets_folder_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRETS_DIR", "nowhere")
    with pytest.raises(SettingsError, match="SECRETS_DIR: nowhere is not a folder"):
        load_settings()


def test_each_value_tells_its_origin_and_the_stronger_source_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "pool_size").write_text("1")
    (folder / "read_wait_ms").write_text("1")
    (folder / "api_port").write_text("1")
    Path(".env").write_text("read_wait_ms=2\nAPI_PORT=2\nDRAIN_SECONDS=\n")
    monkeypatch.setenv("SECRETS_DIR", str(folder))
    monkeypatch.setenv("API_PORT", "3")
    assert row("POOL_SIZE") == ("1", "secrets")
    assert row("READ_WAIT_MS") == ("2", ".env")
    assert row("API_PORT") == ("3", "environment")
    assert row("DRAIN_SECONDS") == ("10", "default")


def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_KEY", base64.b64encode(b"k" * 32).decode())
    monkeypatch.setenv("DATABASE_URL", "host=db password=hunter2")
    monkeypatch.setenv("NATS_URL", "nats://hunter2@a:1,nats://user:hunter2@b:2")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:hunter2@traces.test")
    assert row("MASTER_KEY")[0] == row("DATABASE_URL")[0] == "********"
    assert row("NATS_URL")[0] == "nats://********@a:1,nats://user:********@b:2"
    assert row("OTEL_EXPORTER_OTLP_ENDPOINT")[0] == "https://user:********@traces.test"


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:hunter2@h/db",
        "postgres://u:a@hunter2@h/db",
        "postgres://u:a,hunter2@h/db",
        "postgres://u:a/hunter2@h/db",
        "postgres://u:a?hunter2@h/db",
        "postgres://h/db?password=hunter2",
        "nats://a:b@h:1,u:hunter2@i:2",
    ],
)
def test_a_password_is_masked_wherever_it_stands_in_a_url(url: str) -> None:
    assert "hunter2" not in without_password(url)


def test_settings_of_the_original_database_are_ignored_and_warned_about_once(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("SNOWFLAKE_USER=ann\n")
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", "hunter2")
    with capture_logs() as lines:
        load_settings()
        load_settings()
    assert [line["log_level"] for line in lines] == ["warning"]
    assert "hunter2" not in str(lines)


def test_the_example_file_names_every_setting_with_its_default() -> None:
    assert {name.lower() for name in dotenv_values(EXAMPLE)} == set(Settings.model_fields)
    defaults = load_settings()
    Path(".env").write_text(EXAMPLE.read_text())
    assert load_settings() == defaults


def test_every_setting_is_read_by_something() -> None:
    packages = ("adapters", "application", "entrypoints")
    sources = [path.read_text() for package in packages for path in (EXAMPLE.parent / package).rglob("*.py")]
    read = {node.attr for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
    assert set(Settings.model_fields) <= read
