"""What each command asks the server for, and what it prints."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.stand_in import StandIn

ID = "0b1c5b52-8f0b-4c8e-8d5e-1f3d6f1f1c02"
DEPLOYMENT: dict[str, Any] = {
    "id": ID,
    "created_at": "2026-11-21T04:07:15.123456+01:00",
    "name": "api",
    "version": "2.1.0",
    "environment": "production",
    "provider": "gcp",
    "cloud_account_id": "main",
    "region": "us-central1",
    "cell": None,
    "status": "scheduled",
    "trigger": "auto",
    "created_by_actor": "ann",
    "notes": None,
}
TAXONOMY = ["--name", "api", "--provider", "gcp", "--account", "main", "--region", "r1", "--cell", "c1"]
FIELDS = {"name": "api", "provider": "gcp", "cloud_account_id": "main", "region": "r1", "cell": "c1"}


@pytest.mark.parametrize(
    ("arguments", "method", "path", "body"),
    [
        (["show", "d1"], "GET", "/v1/deployments/d1", None),
        (["history", "d1"], "GET", "/v1/deployments/d1/history", None),
        (["corrections", "d1"], "GET", "/v1/deployments/d1/corrections", None),
        (
            ["correct", "d1", "--went-live-at", "2026-10-02T13:58:00Z", "--reason", "seen"],
            "POST",
            "/v1/deployments/d1/corrections",
            {"went_live_at": "2026-10-02T13:58:00Z", "reason": "seen"},
        ),
        (["release", "d1"], "PATCH", "/v1/deployments/d1", {"status": "in_progress"}),
        (["update", "d1", "--status", "deployed"], "PATCH", "/v1/deployments/d1", {"status": "deployed"}),
        (["update", "d1", "--notes", ""], "PATCH", "/v1/deployments/d1", {"notes": None}),
        (["rollback", "d1"], "POST", "/v1/deployments/d1/rollback", None),
        (["rollback", "d1", "--override-freeze", "why"], "POST", "/v1/deployments/d1/rollback", None),
        (["approve", "d1", "--reason", "seen"], "POST", "/v1/deployments/d1/approve", {"reason": "seen"}),
        (
            ["heartbeat", "d1", "--lease", "3", "--lease-seconds", "9"],
            "POST",
            "/v1/deployments/d1/heartbeat",
            {"fence": 3, "lease_seconds": 9},
        ),
        (["lane", "release-hold", *TAXONOMY, "--reason", "ok"], "POST", "/v1/lanes/release", FIELDS | {"reason": "ok"}),
        (["freeze", *TAXONOMY, "--reason", "why"], "POST", "/v1/freezes", {"scope": FIELDS, "reason": "why"}),
        (["freeze", "--all", "--reason", "why"], "POST", "/v1/freezes", {"scope": {}, "reason": "why"}),
        (["thaw", "f1", "--reason", "over"], "POST", "/v1/freezes/f1/lift", {"reason": "over"}),
        (["freezes"], "GET", "/v1/freezes", None),
        (["rules", "show"], "GET", "/v1/rules", None),
        (
            ["token", "create", "--name", "ci", "--role", "viewer"],
            "POST",
            "/v1/tokens",
            {"name": "ci", "role": "viewer"},
        ),
        (["token", "list"], "GET", "/v1/tokens", None),
        (["token", "revoke", "t1"], "DELETE", "/v1/tokens/t1", None),
    ],
)
def test_a_command_asks_its_route_and_prints_the_answer_as_json(
    server: StandIn, run: Run, arguments: list[str], method: str, path: str, body: Any
) -> None:
    server.says(200, {"said": "exactly this"})
    ended = run(*arguments, "--json")
    assert ended.json == {"said": "exactly this"}, ended.err
    asked = server.asked[0]
    assert (asked.method, asked.path, asked.body) == (method, path, body)


@pytest.mark.parametrize(
    ("arguments", "path", "asked"),
    [
        (["at", "shop/production~3"], "/v1/at", ("ref", "shop/production~3")),
        (["at", "prod@{-15m}"], "/v1/at", ("ref", "prod@{-15m}")),
        (["at", "--", "-2h"], "/v1/at", ("ref", "-2h")),
        (["history", "d1", "--as-of", "-15m"], "/v1/deployments/d1/history", ("as_of", "-15m")),
        (["corrections", "d1", "--as-of", "prod#412"], "/v1/deployments/d1/corrections", ("as_of", "prod#412")),
        (["job", "show", "job-1", "--as-of", "prod~1"], "/api/jobs/job-1", ("as_of", "prod~1")),
        (["token", "list", "--as-of", "7"], "/v1/tokens", ("as_of", "7")),
        (["organisation", "show", "--as-of", "7"], "/v1/organisation", ("as_of", "7")),
    ],
)
def test_a_reference_to_the_past_goes_into_the_address(
    server: StandIn, run: Run, arguments: list[str], path: str, asked: tuple[str, str]
) -> None:
    server.says(200, {"said": "exactly this"})
    run(*arguments)
    assert (server.asked[0].path, server.asked[0].query) == (path, [asked])


def test_lanes_tell_what_was_really_live_by_what_was_known(server: StandIn, run: Run) -> None:
    server.says(200, [DEPLOYMENT])
    told = run("lanes", "--valid-at", "prod~1", "--as-of", "-1h").out
    assert server.asked[0].path == "/v1/lanes/current"
    assert {("as_of", "-1h"), ("valid_at", "prod~1")} <= set(server.asked[0].query)
    assert "2.1.0" in told


def test_list_sends_its_filters(server: StandIn, run: Run) -> None:
    server.says(200, [])
    run(
        "list",
        "--status",
        "deployed",
        "--status",
        "failed",
        "--no-cell",
        "--as-of",
        "17",
        "--since",
        "2026-01-01T00:00:00Z",
    )
    assert server.asked[0].query == [
        ("status", "deployed"),
        ("status", "failed"),
        ("cell_is_null", "true"),
        ("since", "2026-01-01T00:00:00Z"),
        ("as_of", "17"),
        ("limit", "101"),
    ]


def test_list_prints_plain_columns_into_a_pipe(server: StandIn, run: Run) -> None:
    server.says(200, [DEPLOYMENT])
    assert run("list").out.splitlines() == [
        f"{'ID':36}  CREATED               NAME  VERSION  ENVIRONMENT  WHERE                 STATUS     TRIGGER  BY",
        f"{ID}  2026-11-21T03:07:15Z  api   2.1.0    production   gcp/main/us-central1  scheduled  auto     ann",
    ]


def test_an_empty_list_prints_nothing_into_a_pipe(server: StandIn, run: Run) -> None:
    server.says(200, [])
    assert run("list").out == ""


def test_list_follows_pages_on_its_own_route_only(server: StandIn, run: Run) -> None:
    server.says(200, [{"id": "a"}], link='<https://elsewhere.example/x?cursor=c%2B1&limit=3>; rel="next"')
    server.says(200, [{"id": "b"}])
    assert [d["id"] for d in run("list", "--limit", "2", "--json").json] == ["a", "b"]
    assert server.asked[1].path == "/v1/deployments"
    assert server.asked[1].query == [("cursor", "c+1"), ("limit", "3")]


def test_pages_that_lead_in_a_circle_end(server: StandIn, run: Run) -> None:
    for _ in range(3):
        server.says(200, [{"id": "a"}], link='</v1/deployments?cursor=same>; rel="next"')
    assert run("list", "--all", "--json").code == 0
    assert len(server.asked) == 2


def test_list_says_when_there_is_more(server: StandIn, run: Run) -> None:
    server.says(200, [DEPLOYMENT, DEPLOYMENT])
    ended = run("list", "--limit", "1")
    assert len(ended.out.splitlines()) == 2
    assert "more than 1" in ended.err


def test_list_counts_on_request(server: StandIn, run: Run) -> None:
    server.says(200, [DEPLOYMENT], x_total_count="1234")
    assert run("list", "--count").out == "1234\n"
    assert server.asked[0].headers["prefer"] == "count=exact"


def test_create_sends_what_it_was_given_and_no_more(server: StandIn, run: Run) -> None:
    server.says(201, DEPLOYMENT)
    more = [
        "--version",
        "2.1.0",
        "--type",
        "k8s",
        "--env",
        "prod",
        "--manual",
        "--committed-at",
        "2026-01-01T00:00:00Z",
    ]
    assert run("create", *TAXONOMY, *more, "--incident-id", "i1").code == 0
    rest = {"version": "2.1.0", "type": "k8s", "environment": "prod", "auto": False, "incident_id": "i1"}
    assert server.asked[0].body == FIELDS | rest | {"committed_at": "2026-01-01T00:00:00Z"}


def test_show_leaves_out_what_is_empty(server: StandIn, run: Run) -> None:
    server.says(200, DEPLOYMENT | {"description": "two\nlines"})
    out = run("show", ID).out
    assert f"id                {ID}\n" in out
    assert "description       two\n                  lines\n" in out
    assert "notes" not in out


def test_rollback_of_a_taxonomy_asks_by_query(server: StandIn, run: Run) -> None:
    server.says(201, DEPLOYMENT)
    run("rollback", *TAXONOMY, "--target-version", "1.9.5")
    assert server.asked[0].path == "/v1/deployments/rollback"
    assert dict(server.asked[0].query) == FIELDS | {"target_version": "1.9.5"}


def test_update_can_insist_on_a_version_and_a_lease(server: StandIn, run: Run) -> None:
    server.says(200, DEPLOYMENT)
    run("update", "d1", "--status", "deployed", "--if-match", '"3"', ROLLBOOK_LEASE="3")
    assert server.asked[0].headers["if-match"] == '"3"'
    assert server.asked[0].body == {"status": "deployed", "lease": 3}


def test_history_is_told_in_words(server: StandIn, run: Run) -> None:
    entry = {"position": 7, "topic": "deployment.approved", "summary": "approved", "at": "2026-01-01T00:00:00Z"}
    server.says(
        200,
        {
            "deployment_id": "d1",
            "entries": [entry | {"actor": "bob", "reason": "seen", "run": {"repository": "a/b", "run_id": "17"}}],
        },
    )
    line = run("history", "d1").out.splitlines()[1]
    assert line.split() == ["2026-01-01T00:00:00Z", "approved", "deployment.approved", "bob", "seen", "a/b", "17"]


def test_claim_names_its_lanes_either_way(server: StandIn, run: Run) -> None:
    server.says(200, DEPLOYMENT | {"lease": {"fence": 3, "expires_at": "2026-01-01T00:01:00Z"}})
    lanes = ["--lane", "name=api,provider=gcp,region=r=1", "--lane", json.dumps(FIELDS)]
    out = run("claim", *lanes, "--runner", "r7").out
    assert "lease             3\n" in out
    lane = {"name": "api", "provider": "gcp", "region": "r=1"}
    assert server.asked[0].body == {"lanes": [lane, FIELDS], "runner": "r7"}


def test_nothing_to_claim_is_no_failure(server: StandIn, run: Run) -> None:
    server.says(204)
    server.says(204)
    plain, as_json = (run("claim", "--lane", "name=api,provider=gcp", *more) for more in ([], ["--json"]))
    assert (plain.code, plain.out, as_json.code, as_json.json) == (0, "", 0, None)


def test_a_new_token_stands_alone_on_stdout(server: StandIn, run: Run) -> None:
    server.says(201, {"id": "t1", "token": "rb_secret"})
    assert run("token", "create", "--name", "ci", "--role", "deployer", "--days", "7").out == "rb_secret\n"
    assert server.asked[0].body["expires_at"].endswith("+00:00")


def test_a_token_whose_secret_was_lost_on_the_way_is_named(server: StandIn, run: Run) -> None:
    server.says(201, {"id": "t1"})
    ended = run("token", "create", "--name", "ci", "--role", "deployer")
    assert (ended.code, ended.out) == (5, "")
    assert "t1" in ended.err
    assert "SECRET_LOST" in ended.err


def test_lanes_are_told_in_a_table(server: StandIn, run: Run) -> None:
    lane = {
        **FIELDS,
        "live": {"version": "2"},
        "in_progress": [],
        "waiting": [{"version": "3"}],
        "previous": [{"version": "1"}],
        "held": None,
    }
    server.says(200, [lane, lane | {"name": "other"}])
    assert run("lanes", "--name", "api").out.splitlines()[1].split() == [
        "api",
        "gcp/main/r1/c1",
        "2",
        "-",
        "3",
        "1",
        "-",
    ]


def test_lanes_are_filtered_by_the_server_and_followed_over_its_pages(server: StandIn, run: Run) -> None:
    server.says(200, [{"name": "api", "region": "r2"}], link='</v1/lanes?region=r2&cursor=9-4>; rel="next"')
    server.says(200, [{"name": "shop", "region": "r2"}])
    told = run("lanes", "--region", "r2", "--no-cell", "--as-of", "7", "--json").json
    assert [lane["name"] for lane in told] == ["api", "shop"]
    asked = [("region", "r2"), ("cell_is_null", "true"), ("as_of", "7"), ("limit", "1000")]
    assert (server.asked[0].path, server.asked[0].query) == ("/v1/lanes", asked)
    assert server.asked[1].query == [("region", "r2"), ("cursor", "9-4")]


def test_what_is_live_is_told_like_a_list(server: StandIn, run: Run) -> None:
    server.says(200, [DEPLOYMENT])
    assert run("lanes", "--current").out.splitlines()[1].startswith(ID)
    assert server.asked[0].path == "/v1/lanes/current"


def test_a_freeze_is_told_with_its_scope(server: StandIn, run: Run) -> None:
    server.says(
        201, {"id": "f1", "scope": {"name": "api", "cell": None}, "reason": "audit", "until": None, "by": "ann"}
    )
    assert "scope   name=api\n" in run("freeze", "--name", "api", "--reason", "audit").out


def test_rules_are_read_from_a_file_or_from_standard_input(server: StandIn, run: Run, tmp_path: Path) -> None:
    rules = {"transitions": "strict", "approval": []}
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(rules))
    for source, given in ((str(file), None), ("-", json.dumps(rules))):
        server.says(200, rules)
        assert run("rules", "set", source, given=given).json == rules
    assert [asked.body for asked in server.asked] == [rules, rules]


def test_rules_that_are_no_object_are_not_sent(server: StandIn, run: Run) -> None:
    assert [run("rules", "set", "-", given=given).code for given in ("[]", "{", "")] == [2, 2, 2]
    assert server.asked == []
