"""How the command line asks: as whom, how often, and how long."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cli.conftest import Run
from tests.cli.stand_in import LIMIT, StandIn, rollbook

DEPLOYMENT = {"id": "d1", "status": "scheduled"}
CREATE = ["create", "--name", "api", "--version", "1", "--provider", "gcp", "--type", "k8s"]


def test_the_guides_environment_says_who_asks(server: StandIn, run: Run) -> None:
    server.says(200, [])
    assert run("list", GITHUB_TOKEN="ghp_1", ORG="acme").code == 0
    headers = server.asked[0].headers
    assert (headers["authorization"], headers["x-organisation"]) == ("Bearer ghp_1", "acme")


def test_a_rollbook_token_comes_before_a_github_token(server: StandIn, run: Run) -> None:
    server.says(200, [])
    run("list", GITHUB_TOKEN="ghp_1", ROLLBOOK_TOKEN="rb_1\n")
    assert server.asked[0].headers["authorization"] == "Bearer rb_1"


def test_options_override_the_environment(server: StandIn) -> None:
    server.says(200, [])
    arguments = ["--api-url", server.url + "/", "--token", "t2", "--org", "o2"]
    assert rollbook("list", *arguments, API_URL="http://127.0.0.1:9", GITHUB_TOKEN="t1", ORG="o1").code == 0
    headers = server.asked[0].headers
    assert (headers["authorization"], headers["x-organisation"]) == ("Bearer t2", "o2")


def test_without_credentials_none_are_sent(server: StandIn, run: Run) -> None:
    server.says(200, [])
    run("list", GITHUB_TOKEN="", ORG="")
    assert not {"authorization", "x-organisation"} & server.asked[0].headers.keys()


def test_an_api_under_a_path_is_found(server: StandIn, run: Run) -> None:
    server.says(200, [])
    run("list", API_URL=f"{server.url}/deep/down/")
    assert server.asked[0].path == "/deep/down/v1/deployments"


def test_an_id_stays_one_part_of_the_path(server: StandIn, run: Run) -> None:
    server.says(200, DEPLOYMENT)
    run("show", "../tokens?x=é")
    assert (server.asked[0].path, server.asked[0].query) == ("/v1/deployments/..%2Ftokens%3Fx%3D%C3%A9", [])


def test_an_unavailable_server_is_asked_again(server: StandIn, run: Run) -> None:
    server.says(503, {"detail": "starting"}, retry_after="0")
    server.says(503, {"detail": "starting"}, retry_after="0")
    server.says(200, [])
    assert run("list").code == 0
    assert len(server.asked) == 3


def test_a_write_is_repeated_under_its_own_key(server: StandIn, run: Run) -> None:
    server.says(503, {"detail": "starting"}, retry_after="0")
    server.says(201, DEPLOYMENT)
    assert run(*CREATE).code == 0
    first, second = server.asked
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body


def test_each_write_has_another_key(server: StandIn, run: Run) -> None:
    for status in (201, 201):
        server.says(status, DEPLOYMENT)
        run(*CREATE)
    first, second = server.asked
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]


def test_a_given_key_is_the_one_that_is_sent(server: StandIn, run: Run) -> None:
    server.says(201, DEPLOYMENT)
    run(*CREATE, "--idempotency-key", "run-17")
    assert server.asked[0].headers["idempotency-key"] == "run-17"


def test_a_write_that_has_no_key_is_not_repeated(server: StandIn, run: Run) -> None:
    server.says(503, {"detail": "starting"}, retry_after="0")
    assert run("token", "revoke", "t1").code == 5
    assert len(server.asked) == 1


def test_retries_end(server: StandIn, run: Run) -> None:
    for _ in range(5):
        server.says(503, {"detail": "down"}, retry_after="0")
    ended = run("list", ROLLBOOK_RETRIES="2")
    assert (ended.code, len(server.asked)) == (5, 3)
    assert "down" in ended.err


def test_a_server_that_asks_for_more_patience_than_there_is_is_asked_once(server: StandIn, run: Run) -> None:
    server.says(503, {"detail": "later"}, retry_after="3600")
    assert run("list").code == 5
    assert len(server.asked) == 1


def test_a_refusal_is_not_asked_again(server: StandIn, run: Run) -> None:
    server.says(500, {"detail": "broken"})
    assert run("list").code == 5
    assert len(server.asked) == 1


def test_nobody_there_is_unavailable() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        ended = rollbook("list", "--retries", "1", API_URL=f"http://127.0.0.1:{unheard.getsockname()[1]}")
    assert ended.code == 5
    assert "UNREACHABLE" in ended.err


def test_a_lost_connection_is_tried_again() -> None:
    with connections(b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]") as url:
        ended = rollbook("list", "--json", API_URL=url)
    assert (ended.code, ended.out) == (0, "[]\n")


def test_an_answer_cut_short_is_no_answer() -> None:
    with connections(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[") as url:
        ended = rollbook("list", "--retries", "0", API_URL=url)
    assert (ended.code, ended.out) == (5, "")


def test_a_silent_server_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ended = rollbook("list", "--timeout", "0.2", API_URL=f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert ended.code == 5
    assert "does not answer in time" in ended.err


@contextmanager
def connections(*sent: bytes) -> Iterator[str]:
    """A server that sends these bytes, one a connection, once it has heard something, and then hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(LIMIT)
        thread = threading.Thread(target=hang_up, args=(listening, sent), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(LIMIT)


def hang_up(listening: socket.socket, sent: tuple[bytes, ...]) -> None:
    for content in sent:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(content)
