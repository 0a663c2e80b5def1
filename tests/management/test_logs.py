"""What reaches the logs, and what must not."""

import json
import logging

import pytest
import structlog

from adapters.logs import configure_logging

TOKEN = "ghp_" + "a1B2c3D4e5" * 4


def test_our_lines_and_those_of_libraries_are_json_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    structlog.get_logger().info("relay.started", position=12)
    logging.getLogger("uvicorn.error").warning("port %d is taken", 8000)
    printed = capsys.readouterr()
    ours, theirs = (json.loads(line) for line in printed.err.splitlines())
    assert printed.out == ""
    assert (ours["event"], ours["position"], ours["level"]) == ("relay.started", 12, "info")
    assert (theirs["event"], theirs["level"]) == ("port 8000 is taken", "warning")


def test_lines_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning", "json")
    structlog.get_logger().info("quiet")
    logging.getLogger("library").info("quiet")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_are_masked_however_they_come(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", form)
    log = structlog.get_logger()
    log.info("named", password="hunter2", Authorization="Bearer hunter2")
    log.info("inside", request={"headers": [{"x-api_key": "hunter2"}], TOKEN: 1})
    log.info("postgres://ann:hunter2@db/rollbook", url="nats://hunter2@broker")
    log.info("object", error=ValueError(f"refused {TOKEN}"))
    logging.getLogger("library").warning("cannot reach %s", "nats://ann:hunter2@broker")
    printed = capsys.readouterr().err
    assert len(printed.splitlines()) == 5
    assert "hunter2" not in printed and TOKEN not in printed


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_in_tracebacks_are_masked(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", form)
    for log in (structlog.get_logger(), logging.getLogger("library")):
        try:
            raise ConnectionError(f"postgres://ann:hunter2@db refused {TOKEN}")
        except ConnectionError:
            log.exception("failed")
    printed = capsys.readouterr().err
    assert printed.count("refused ********") == 2
    assert "hunter2" not in printed and TOKEN not in printed
