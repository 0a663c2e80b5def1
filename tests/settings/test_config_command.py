"""`rollbook config`: what it prints, and with which code it ends."""

import json
import socket
from collections.abc import Iterator

import pytest
import typer

from entrypoints.cli.config import config
from entrypoints.cli.failures import Exit, Failure


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address of this machine that is taken, but where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def test_settings_are_printed_as_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "8123")
    config(check=False, json=True)
    printed = json.loads(capsys.readouterr().out)
    assert {"name": "API_PORT", "value": "8123", "origin": "environment"} in printed["settings"]
    assert printed["checks"] == {}


def test_a_bad_setting_ends_with_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "many")
    with pytest.raises(Failure, match="API_PORT") as refused:
        config(check=False, json=False)
    assert refused.value.exit_code == Exit.USAGE


def test_servers_that_do_not_answer_end_with_code_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, nobody: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgres://ann:hunter2@{nobody}/db")
    monkeypatch.setenv("NATS_URL", f"nats://ann:hunter2@{nobody}")
    with pytest.raises(typer.Exit) as ended:
        config(check=True, json=True)
    printed = capsys.readouterr()
    checks = json.loads(printed.out)["checks"]
    assert ended.value.exit_code == 1
    assert checks["database"] and checks["nats"]
    assert "hunter2" not in printed.out + printed.err
