"""The commands for incidents, teams and the DORA figures: what they ask for, and what they print."""

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.stand_in import StandIn

BEGAN = "2026-10-02T13:58:00Z"
INCIDENT: dict[str, Any] = {
    "id": "0b1c5b52-8f0b-4c8e-8d5e-1f3d6f1f1c02",
    "title": "Checkout\x1b[31m is down",
    "began_at": "2026-10-02T15:58:00+02:00",
    "ended_at": None,
    "reference": None,
    "deployments": [
        {"deployment_id": "d1", "relation": "caused"},
        {"deployment_id": "d2", "relation": "fixed"},
        {"deployment_id": "d3", "relation": "caused"},
    ],
}
UTF_8 = {"PYTHONIOENCODING": "utf-8"}


def figures(deployments: int, failed: int, lead: float | None) -> dict[str, Any]:
    """The figures of some days."""
    durations = {"median_seconds": lead, "p90_seconds": lead and lead * 2}
    incidents = {"incidents": 2, "resolved": 1, "open": 1, **durations}
    rate = failed / deployments if deployments else None
    band = "high" if deployments else None
    return {
        "deployment_frequency": {
            "deployments": deployments,
            "days": 3.0,
            "per_day": deployments / 3,
            "band": band,
        },
        "lead_time": {"changes": deployments, "measured": 1, **durations},
        "change_failure_rate": {"failed": failed, "deployments": deployments, "rate": rate},
        "time_to_restore": incidents,
        "failed_deployment_recovery_time": incidents,
        "rework_rate": {"rework": failed, "deployments": deployments, "rate": rate},
    }


def answer(parts: int = 3) -> dict[str, Any]:
    """What the server says of three days, or of more."""
    series = [figures(4, 2, 90.0), figures(0, 0, None), figures(8, 1, 45.0)] * (parts // 3)
    about = {"component": None, "environment": "production", "team": "web", "interval": "day", "time_zone": "UTC"}
    when = {"from": "2026-10-01T00:00:00+00:00", "to": "2026-10-04T00:00:00+00:00"}
    return about | when | {"totals": figures(12, 3, 5415.0), "series": series}


@pytest.mark.parametrize(
    ("arguments", "method", "path", "body"),
    [
        (
            ["incident", "report", "Down", "--began", BEGAN, "--caused-by", "d1", "--caused-by", "d2"],
            "POST",
            "/v1/incidents",
            {
                "title": "Down",
                "began_at": BEGAN,
                "deployments": [{"deployment_id": one, "relation": "caused"} for one in ("d1", "d2")],
            },
        ),
        (["incident", "show", "i/1"], "GET", "/v1/incidents/i%2F1", None),
        (
            ["incident", "link", "i1", "d1"],
            "POST",
            "/v1/incidents/i1/links",
            {"deployment_id": "d1", "relation": "caused"},
        ),
        (
            ["incident", "unlink", "i1", "d1", "--relation", "fixed", "--reason", "no"],
            "POST",
            "/v1/incidents/i1/unlink",
            {"deployment_id": "d1", "relation": "fixed", "reason": "no"},
        ),
        (["incident", "resolve", "i1"], "POST", "/v1/incidents/i1/resolve", {}),
        (["incident", "resolve", "i1", "--ended", BEGAN], "POST", "/v1/incidents/i1/resolve", {"ended_at": BEGAN}),
        (["incident", "reopen", "i1", "--reason", "no"], "POST", "/v1/incidents/i1/reopen", {"reason": "no"}),
        (["teams", "show", "--as-of", "7"], "GET", "/v1/teams", None),
        (["dora"], "GET", "/v1/metrics/dora", None),
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


def test_dora_sends_what_it_is_asked(server: StandIn, run: Run) -> None:
    server.says(200, {})
    run(
        *("dora", "--environment", "production", "--team", "web", "--name", "shop", "--from", "-90d", "--to", "-1d"),
        *("--interval", "week", "--time-zone", "Europe/Berlin", "--as-of", "17", "--json"),
    )
    assert dict(server.asked[0].query) == {
        **{"environment": "production", "component": "shop", "team": "web", "from": "-90d", "to": "-1d"},
        **{"as_of": "17", "interval": "week", "time_zone": "Europe/Berlin"},
    }


def test_dora_prints_a_figure_a_line_with_its_trend(server: StandIn, run: Run) -> None:
    server.says(200, answer())
    ended = run("dora", **UTF_8)
    assert ended.out.splitlines() == [
        "FIGURE           VALUE        OF                TREND",
        "deployments/day  4.00 (high)  12 in 3 d         ▅▁█",
        "lead time        1 h 30 min   1 of 12 changes   █·▅",
        "lead time (90%)  3 h          1 of 12 changes   █·▅",
        "change failures  25.0%        3 of 12           █·▃",
        "time to restore  1 h 30 min   1 of 2 incidents  █·▅",
        "recovery time    1 h 30 min   1 of 2 incidents  █·▅",
        "rework           25.0%        3 of 12           █·▃",
    ]
    assert ended.err == "production web 2026-10-01T00:00:00Z to 2026-10-04T00:00:00Z, by day of UTC\n"


def test_dora_fits_a_terminal_of_eighty_columns_and_an_encoding_of_nothing_but_ascii(server: StandIn, run: Run) -> None:
    server.says(200, answer(60))
    ended = run("dora", PYTHONIOENCODING="ascii")
    lines = ended.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].endswith("=_#" * 10)
    assert lines[2].endswith("# =" * 10)
    assert ended.out.isascii()
    assert "\x1b" not in ended.out
    assert "The trend shows the last 30 of 60" in ended.err


def test_dora_prints_of_nothing_that_there_is_nothing(server: StandIn, run: Run) -> None:
    nothing = figures(0, 0, None)
    server.says(200, answer() | {"totals": nothing, "series": [nothing]})
    lines = run("dora", **UTF_8).out.splitlines()
    assert lines[1].split()[:2] == ["deployments/day", "0.00"]
    assert lines[4].split() == ["change", "failures", "-", "0", "of", "0", "·"]


def test_an_incident_is_printed_with_its_deployments_and_cannot_steer_the_terminal(server: StandIn, run: Run) -> None:
    server.says(200, INCIDENT)
    assert run("incident", "show", "i1").out.splitlines() == [
        f"id         {INCIDENT['id']}",
        r"title      Checkout\x1b[31m is down",
        "began_at   2026-10-02T13:58:00Z",
        "caused by  d1 d3",
        "fixed by   d2",
    ]
    server.says(200, [INCIDENT])
    listed = run("incident", "list", "--open").out.splitlines()
    assert listed[1].split() == [
        *(INCIDENT["id"], "2026-10-02T13:58:00Z", "-", r"Checkout\x1b[31m", "is", "down", "-", "d1", "d3", "d2")
    ]
    assert server.asked[1].query == [("resolved", "false"), ("limit", "100")]


@pytest.mark.parametrize(
    "arguments",
    [
        ["incident", "list", "--open", "--resolved"],
        ["incident", "report", "Down", "--began", "2026-10-02T13:58:00"],
        ["incident", "report", "Down"],
        ["incident", "resolve", "i1", "--ended", "soon"],
        ["incident", "link", "i1", "d1", "--relation", "blessed"],
        ["dora", "--interval", "hour"],
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_sent(server: StandIn, run: Run, arguments: list[str]) -> None:
    assert run(*arguments).code == 2
    assert not server.asked


def test_teams_are_set_from_a_file_or_standard_input(server: StandIn, run: Run, tmp_path: Path) -> None:
    teams = '{"teams": {"web": ["shop"]}}'
    (file := tmp_path / "teams.json").write_text(teams)
    for arguments, given in (([str(file)], None), (["-"], teams)):
        server.says(200, {"teams": {"web": ["shop"]}})
        assert run("teams", "set", *arguments, given=given).code == 0
        assert server.asked[-1].method == "PUT"
        assert server.asked[-1].body == {"teams": {"web": ["shop"]}}
    assert "teams are not JSON" in run("teams", "set", "-", given="web: shop").err


@pytest.mark.parametrize("command", ["report", "list", "link", "resolve"])
def test_the_help_shows_an_example(run: Run, command: str) -> None:
    assert "Example: rollbook incident" in run("incident", command, "--help").out
