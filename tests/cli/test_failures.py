"""How the command line says that something went wrong."""

import pytest

from tests.cli.conftest import Run
from tests.cli.stand_in import StandIn, rollbook


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 1), (409, 1), (410, 1), (412, 1), (422, 1), (401, 3), (403, 3), (404, 4), (500, 5), (507, 5), (423, 6)],
)
def test_the_exit_code_says_what_kind_of_refusal_it_was(server: StandIn, run: Run, status: int, code: int) -> None:
    server.says(status, {"detail": "no"})
    assert run("show", "d1").code == code


def test_a_refusal_is_one_line_with_its_code_and_trace(server: StandIn, run: Run) -> None:
    server.says(404, {"detail": "Deployment not found"}, x_error_code="NOT_FOUND", x_trace_id="abc123")
    ended = run("show", "d1")
    assert ended.err == "error: Deployment not found (NOT_FOUND, HTTP 404, trace abc123)\n"
    assert ended.out == ""


def test_a_refusal_is_an_object_where_json_was_asked_for(server: StandIn, run: Run) -> None:
    body = {"detail": "Frozen: audit", "who": "ann", "why": "audit", "until": None}
    server.says(423, body, x_error_code="FROZEN", x_trace_id="abc123")
    assert run("release", "d1", "--json").failure == {
        "code": "FROZEN",
        "message": "Frozen: audit, by ann",
        "exit_code": 6,
        "status": 423,
        "trace_id": "abc123",
        "answer": body,
    }


def test_refused_values_are_named(server: StandIn, run: Run) -> None:
    faults = [{"loc": ["query", "since"], "msg": "Input should be a datetime", "type": "x", "input": "soon"}]
    server.says(422, {"detail": faults})
    assert "query.since: Input should be a datetime" in run("list", "--since", "soon").err


def test_problem_details_are_understood(server: StandIn, run: Run) -> None:
    server.says(403, {"type": "about:blank", "title": "Forbidden", "status": 403}, x_error_code="FORBIDDEN")
    assert run("rules", "show").err == "error: Forbidden (FORBIDDEN, HTTP 403)\n"


@pytest.mark.parametrize("body", ["<html>", "[" * 100_000, "[1]", '"text"', '{"detail": null}', ""])
def test_an_error_of_any_shape_is_still_one_line(server: StandIn, run: Run, body: str) -> None:
    server.says(502, body)
    assert run("show", "d1").err == "error: The server answered 502 (HTTP_502, HTTP 502)\n"


def test_a_page_that_is_not_the_api_is_no_success(server: StandIn, run: Run) -> None:
    server.says(200, "<html>Sign in</html>")
    ended = run("show", "d1")
    assert (ended.code, ended.out) == (5, "")
    assert "NOT_JSON" in ended.err


@pytest.mark.parametrize("body", [{"no": "list"}, ["text"], None])
def test_an_answer_of_another_shape_is_no_success(server: StandIn, run: Run, body: object) -> None:
    server.says(200, body)
    ended = run("list")
    assert (ended.code, ended.out) == (5, "")
    assert "UNEXPECTED_ANSWER" in ended.err


def test_a_redirect_takes_the_token_nowhere(server: StandIn, run: Run) -> None:
    server.says(307, None, location=f"{server.url}/elsewhere")
    assert run("show", "d1", "--token", "secret").code == 2
    assert [asked.path for asked in server.asked] == ["/v1/deployments/d1"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["lst"],
        ["show"],
        ["show", ""],
        ["show", ".."],
        ["list", "--status", "done"],
        ["update", "d1"],
        ["rollback"],
        ["rollback", "--name", "api"],
        ["rollback", "d1", "--name", "api", "--provider", "gcp"],
        ["freeze", "--reason", "audit"],
        ["freeze", "--reason", "audit", "--all", "--name", "api"],
        ["freeze", "--reason", "audit", "--all", "--until", "2030-01-01T00:00:00"],
        ["freeze", "--reason", "audit", "--all", "--until", "2030-01-01T00:00:00Z", "--hours", "1"],
        ["claim", "--lane", "name=api"],
        ["claim", "--lane", "api"],
        ["claim", "--lane", "name=api,provider=gcp,colour=red"],
        ["token", "create", "--name", "ci", "--role", "root"],
        ["list", "--api-url", "ftp://here"],
        ["list", "--api-url", "http://a b"],
        ["list", "--api-url", "http://[::1"],
        ["list", "--token", "two words"],
        ["list", "--token", "ligne\nbreak"],
        ["list", "--org", "größe"],
    ],
)
def test_wrong_usage_is_said_in_one_line_and_sends_nothing(server: StandIn, run: Run, arguments: list[str]) -> None:
    ended = run(*arguments)
    assert (ended.code, ended.out, server.asked) == (2, "", [])
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1


def test_wrong_usage_is_an_object_where_json_was_asked_for() -> None:
    failure = rollbook("show", "--json").failure
    assert (failure["code"], failure["exit_code"]) == ("USAGE", 2)


def test_a_mistyped_command_is_answered_with_the_right_one() -> None:
    assert "Did you mean 'rollback'" in rollbook("rolback").err


def test_a_refused_token_is_not_repeated(server: StandIn, run: Run) -> None:
    server.says(401, {"detail": "Invalid GitHub token"})
    assert "ghp_canary" not in run("list", "--token", "ghp_canary").err
    assert "canary" not in run("list", "--token", "canary canary").err
