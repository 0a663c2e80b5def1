"""Who audits finds what happened, has it exactly as it is stored, and the proof that it is."""

import json
from argparse import Namespace
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import pytest_asyncio

from adapters.checkpoint_choosing import sealer_of
from adapters.postgres.audit_log import AuditLog
from adapters.postgres.pools import Pools
from domain.errors import Unavailable
from entrypoints.http.audit_exports import lines
from entrypoints.verify.rollbook_verify import LAST, verified
from tests.conftest import Running
from tests.queue.conftest import LANE
from tests.sharing import own_organisation

pytestmark = pytest.mark.asyncio(loop_scope="session")
RELEASE = {**LANE, "type": "k8s", "auto": True}


class Auditor:
    """One organisation and what is asked about it."""

    def __init__(self, rollbook: Running) -> None:
        self.rollbook = rollbook
        self.organisation = own_organisation()

    async def ask(self, method: str, path: str, expect: int = 200, **sent: Any) -> Any:
        """The answer's body."""
        headers = {"X-Organisation": self.organisation}
        answer = await self.rollbook.client.request(method, path, headers=headers, **sent)
        assert answer.status_code == expect, answer.text
        return answer.json() if "ndjson" not in answer.headers["content-type"] else answer.text

    async def found(self, **filters: Any) -> list[str]:
        """The topics of what is found, page by page."""
        topics: list[str] = []
        while True:
            body = await self.ask("GET", "/v1/audit/events", params=filters)
            topics += [event["topic"] for event in body["events"]]
            if (cursor := body["cursor"]) is None:
                return topics
            filters["cursor"] = cursor

    async def linked(self, path: str | None) -> list[Any]:
        """The checkpoints of all pages."""
        told: list[Any] = []
        while path:
            answer = await self.rollbook.client.get(path, headers={"X-Organisation": self.organisation})
            told += answer.json()["checkpoints"]
            path = answer.links.get("next", {}).get("url")
        return told

    async def exported(self, folder: Path, **body: Any) -> tuple[dict[str, Any], Path]:
        """An export, and the file of it."""
        asked = await self.ask("POST", "/v1/audit/exports", 201, json=body)
        file = folder / "export.ndjson"
        file.write_text(await self.ask("GET", f"/v1/audit/exports/{asked['id']}/events"))
        return asked, file

    async def sealed(self, folder: Path) -> Path:
        """All checkpoints, as the API tells this organisation."""
        sealer = sealer_of(self.rollbook.app.settings, self.rollbook.app.pools)
        while await sealer.seal():
            pass
        lines: list[str] = []
        after: int | None = 0
        while after is not None:
            body = await self.ask("GET", "/v1/audit/checkpoints", params={"after": after})
            lines += map(json.dumps, body["checkpoints"])
            after = body["after"]
        file = folder / "checkpoints.ndjson"
        file.write_text("\n".join(lines) + "\n")
        return file


@pytest_asyncio.fixture(loop_scope="session")
async def auditor(quiet: Running) -> Auditor:
    """Two deployments went live in production, a third waits in staging, and a freeze was declared."""
    auditor = Auditor(quiet)
    for version in ("1", "2"):
        body = {**RELEASE, "version": version, "environment": "production"}
        made = await auditor.ask("POST", "/v1/deployments", 201, json=body)
        await auditor.ask("PATCH", f"/v1/deployments/{made['id']}", json={"status": "deployed"})
    body = {**RELEASE, "version": "3", "environment": "staging", "description": 'the "odd" Ünicode'}
    await auditor.ask("POST", "/v1/deployments", 201, json=body)
    await auditor.ask("POST", "/v1/freezes", 201, json={"scope": {}, "reason": "Sale"})
    return auditor


async def test_the_newest_come_first_in_words_and_as_they_are_stored(auditor: Auditor) -> None:
    body = await auditor.ask("GET", "/v1/audit/events", params={"limit": 3})
    newest = body["events"][0]
    assert (newest["topic"], newest["payload"]["freeze"]["reason"]) == ("freezes.declared", "Sale")
    assert newest["envelope"]["position"] == newest["position"]
    assert newest["actor"] == {"id": newest["envelope"]["actor"]["id"], "login": "local-dev"}
    sequences = [event["sequence"] for event in body["events"]]
    assert sequences == sorted(sequences, reverse=True)
    oldest = await auditor.ask("GET", "/v1/audit/events", params={"limit": 1, "order": "oldest"})
    assert oldest["events"][0]["sequence"] == 1


async def test_pages_go_on_where_the_last_one_ended(auditor: Auditor) -> None:
    everything = await auditor.found(limit=1000)
    assert await auditor.found(limit=1) == everything
    assert await auditor.found(limit=2, order="oldest") == everything[::-1]


@pytest.mark.parametrize(
    ("filters", "topics"),
    [
        ({"topic": "freezes.declared"}, {"freezes.declared"}),
        ({"topic": "freezes"}, {"freezes.opened", "freezes.declared"}),
        ({"topic": "deployment.deployed"}, {"deployment.deployed"}),
        ({"environment": "staging"}, {"deployment.scheduled"}),
        ({"environment": "nowhere"}, set()),
        ({"text": "went LIVE"}, {"deployment.deployed"}),
        ({"text": 'The "odd" Ünicode'}, {"deployment.scheduled"}),
        ({"text": "100%"}, set()),
        ({"text": "Sale", "topic": "deployment"}, set()),
        ({"actor": "nobody"}, set()),
        ({"stream": "deployment-none"}, set()),
    ],
)
async def test_each_filter_lets_through_what_it_says(
    auditor: Auditor, filters: dict[str, str], topics: set[str]
) -> None:
    assert set(await auditor.found(**filters)) == topics


async def test_people_are_found_by_login_and_by_pseudonym(auditor: Auditor) -> None:
    everything = await auditor.found()
    one = (await auditor.ask("GET", "/v1/audit/events"))["events"][0]["actor"]
    for actor in (one["login"], one["id"], one["id"].upper()):
        assert await auditor.found(actor=actor) == everything


async def test_a_lane_is_found_by_name_and_by_id_with_what_happened_to_itself(auditor: Auditor) -> None:
    (row,) = await auditor.ask("GET", "/v1/lanes")
    lane = UUID(row["id"]) if "id" in row else None
    of_name = await auditor.found(lane=LANE["name"])
    assert len(of_name) == 5
    assert await auditor.found(lane="another") == []
    if lane:
        assert {"lane.opened", "deployment.scheduled"} <= set(await auditor.found(lane=str(lane)))


async def test_a_span_of_positions_and_times_bounds_the_search(auditor: Auditor) -> None:
    events = (await auditor.ask("GET", "/v1/audit/events"))["events"]
    last, before = events[0], next(e for e in events if e["commit_position"] < events[0]["commit_position"])
    assert await auditor.found(**{"from": str(before["commit_position"])}) == [
        e["topic"] for e in events if e["commit_position"] == last["commit_position"]
    ]
    assert (await auditor.found(to=before["recorded_at"]))[0] == before["topic"]
    assert await auditor.found(**{"from": "-0s"}) == []


async def test_every_position_of_a_long_search_is_searched_once(
    auditor: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = await auditor.found(limit=1000)
    monkeypatch.setattr("adapters.postgres.audit_log.STRETCH", 2)
    monkeypatch.setattr("adapters.postgres.audit_log.SEARCH_SECONDS", 0.0)
    for order, expected in (("newest", everything), ("oldest", everything[::-1])):
        assert await auditor.found(actor="local-dev", limit=3, order=order) == expected


async def test_an_export_is_the_log_to_the_byte_and_verifies_against_what_was_sealed(
    auditor: Auditor, tmp_path: Path
) -> None:
    checkpoints = await auditor.sealed(tmp_path)
    asked, file = await auditor.exported(tmp_path)
    told = [json.loads(line) for line in file.read_text().splitlines()]
    assert told[-1] == {"events": len(told) - 1}
    verdict = verified(
        Namespace(log=str(file), checkpoints=str(checkpoints), key=None, after=0, to=asked["to_position"])
    )
    assert (verdict["code"], verdict["events"]) == (0, len(told) - 1), verdict
    edited = file.read_text().replace("Sale", "Sole")
    file.write_text(edited)
    verdict = verified(
        Namespace(log=str(file), checkpoints=str(checkpoints), key=None, after=0, to=asked["to_position"])
    )
    assert verdict["code"] == 1


async def test_a_part_of_the_log_verifies_as_a_part(auditor: Auditor, tmp_path: Path) -> None:
    checkpoints = await auditor.sealed(tmp_path)
    events = (await auditor.ask("GET", "/v1/audit/events"))["events"]
    middle = events[len(events) // 2]["commit_position"]
    first, last = middle, events[0]["position"]
    asked, file = await auditor.exported(tmp_path, **{"from": str(first), "to": str(last)})
    assert (asked["from_position"], asked["to_position"]) == (first, last)
    asking = {"log": str(file), "checkpoints": str(checkpoints), "key": None, "to": last}
    assert verified(Namespace(**asking, after=first))["code"] == 0
    assert verified(Namespace(**asking, after=0))["code"] == 3, "unless it is said to be one"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:-2]) + json.dumps({"events": len(lines) - 2}) + "\n")
    assert verified(Namespace(**asking, after=first))["code"] == 2, "its end was cut off"


async def test_a_reader_who_was_cut_off_goes_on_behind_the_last_line(auditor: Auditor, tmp_path: Path) -> None:
    asked, file = await auditor.exported(tmp_path)
    lines = file.read_text().splitlines()
    middle = json.loads(lines[3])["position"]
    rest = await auditor.ask("GET", f"/v1/audit/exports/{asked['id']}/events", params={"after": middle})
    assert rest.splitlines()[:-1] == lines[4:-1]


async def test_an_export_holds_what_its_filters_let_through(auditor: Auditor, tmp_path: Path) -> None:
    asked, file = await auditor.exported(tmp_path, filters={"topic": "freezes"})
    assert {json.loads(line)["topic"] for line in file.read_text().splitlines()[:-1]} == {
        "freezes.opened",
        "freezes.declared",
    }
    assert asked["filters"] == {"topic": "freezes"}


async def test_who_took_what_out_is_on_record(auditor: Auditor, tmp_path: Path) -> None:
    asked, _ = await auditor.exported(tmp_path)
    (listed,) = await auditor.ask("GET", "/v1/audit/exports")
    assert listed == asked
    assert asked["requested_by"] == "local-dev"
    (event,) = (await auditor.ask("GET", "/v1/audit/events", params={"topic": "audit_export"}))["events"]
    assert event["payload"]["requested_by"] == event["actor"]["id"]


async def test_whose_events_were_taken_out_stands_in_the_record_under_a_pseudonym_alone(
    auditor: Auditor, tmp_path: Path
) -> None:
    asked, file = await auditor.exported(tmp_path, filters={"actor": "local-dev"})
    assert asked["filters"] == {"actor": "local-dev"}
    assert len(file.read_text().splitlines()) > 1
    stranger, nothing = await auditor.exported(tmp_path, filters={"actor": "jane@example.com"})
    assert (stranger["filters"], nothing.read_text()) == ({"actor": "erased"}, '{"events":0}\n')
    recorded = await auditor.ask("GET", "/v1/audit/events", params={"topic": "audit_export"})
    payloads = json.dumps([event["payload"] for event in recorded["events"]])
    assert "local-dev" not in payloads
    assert "jane" not in payloads


async def test_checkpoints_show_ones_own_chain_and_nobody_elses(
    auditor: Auditor, quiet: Running, tmp_path: Path
) -> None:
    other = Auditor(quiet)
    await other.ask("POST", "/v1/freezes", 201, json={"scope": {}, "reason": "Sale"})
    told = (await auditor.sealed(tmp_path)).read_text()
    leaves = [json.loads(head["leaf"]) for line in told.splitlines() for head in json.loads(line)["heads"]]
    assert {leaf["organisation"] for leaf in leaves} == {auditor.organisation}
    assert other.organisation not in told
    latest = await auditor.ask("GET", "/v1/audit/checkpoints", params={"latest": True, "limit": 1})
    assert json.dumps(latest["checkpoints"][0]) == told.splitlines()[-1]
    assert latest["after"] is None


async def test_a_search_of_the_past_finds_for_ever_what_it_found_then(auditor: Auditor) -> None:
    then = await auditor.ask("GET", "/v1/audit/events")
    last = then["events"][0]["position"]
    await auditor.ask("POST", "/v1/freezes", 201, json={"scope": {"name": LANE["name"]}, "reason": "Sale"})
    assert len(await auditor.found()) == len(then["events"]) + 1
    assert await auditor.ask("GET", "/v1/audit/events", params={"as_of": last}) == then
    assert await auditor.found(as_of=last, limit=2) == [event["topic"] for event in then["events"]]
    assert await auditor.found(as_of=last, to="-0s", text="sale") == ["freezes.declared"]


async def test_pages_go_on_in_the_span_that_the_first_one_was_asked_for(auditor: Auditor) -> None:
    asked = {"from": "production~1", "limit": 2}
    everything = await auditor.found(**{**asked, "limit": 100})
    first = await auditor.ask("GET", "/v1/audit/events", params=asked)
    body = {**RELEASE, "version": "4", "environment": "production"}
    made = await auditor.ask("POST", "/v1/deployments", 201, json=body)
    await auditor.ask("PATCH", f"/v1/deployments/{made['id']}", json={"status": "deployed"})
    rest = await auditor.found(**asked, cursor=first["cursor"])
    assert [event["topic"] for event in first["events"]] + rest == everything


async def test_checkpoints_of_the_past_are_those_that_were_sealed_by_then(auditor: Auditor, tmp_path: Path) -> None:
    await auditor.sealed(tmp_path)
    then = (await auditor.ask("GET", "/v1/audit/events"))["events"][0]["position"]
    before = await auditor.ask("GET", "/v1/audit/checkpoints", params={"as_of": then, "limit": 1000})
    await auditor.ask("POST", "/v1/freezes", 201, json={"scope": {}, "reason": "Once more"})
    now = (await auditor.ask("GET", "/v1/audit/events"))["events"][0]["position"]
    known = await auditor.ask("GET", "/v1/audit/checkpoints", params={"as_of": now, "limit": 1000})
    assert len(known["checkpoints"]) > len(before["checkpoints"]), "it was sealed after the one, before the other"
    await auditor.sealed(tmp_path)
    for position, told in ((then, before), (now, known)):
        assert await auditor.ask("GET", "/v1/audit/checkpoints", params={"as_of": position, "limit": 1000}) == told
        assert await auditor.linked(f"/v1/audit/checkpoints?as_of={position}&limit=2") == told["checkpoints"]


@pytest.mark.parametrize(
    ("path", "sent", "status"),
    [
        ("/v1/audit/events", {"params": {"from": "nonsense"}}, 400),
        ("/v1/audit/events", {"params": {"to": "99999999999"}}, 400),
        ("/v1/audit/events", {"params": {"cursor": "1-2-3-4"}}, 400),
        ("/v1/audit/events", {"params": {"cursor": "9" * 30 + "-1-0"}}, 400),
        ("/v1/audit/events", {"params": {"text": "\0"}}, 422),
        ("/v1/audit/events", {"params": {"actor": "\0"}}, 422),
        ("/v1/audit/events", {"params": {"limit": "0"}}, 422),
        ("/v1/audit/events", {"params": {"order": "sideways"}}, 422),
        ("/v1/audit/events", {"params": {"stream": "'; drop table rollbook.events --"}}, 200),
        ("/v1/audit/exports/nothing/events", {}, 404),
        (f"/v1/audit/exports/{UUID(int=1)}/events", {}, 404),
        ("/v1/audit/checkpoints", {"params": {"after": "-1"}}, 422),
    ],
)
async def test_what_makes_no_sense_is_refused_as_a_problem(
    auditor: Auditor, path: str, sent: dict[str, Any], status: int
) -> None:
    await auditor.ask("GET", path, status, **sent)


async def test_a_span_that_ends_before_it_begins_is_refused(auditor: Auditor) -> None:
    position = (await auditor.ask("GET", "/v1/audit/events"))["events"][0]["position"]
    refused = await auditor.ask("POST", "/v1/audit/exports", 400, json={"from": str(position), "to": "0"})
    assert refused["code"] == "INVALID"


async def test_an_export_breaks_off_where_read_models_may_have_gone_back(
    auditor: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrypoints.http.audit_exports.TOGETHER", 2)
    pools, organisation = auditor.rollbook.app.pools, auditor.organisation
    log = AuditLog(pools)
    pieces = lines(log, organisation, await log.span(organisation, 0, LAST), [], pools.losses)
    assert len((await anext(pieces)).splitlines()) == 2
    assert len((await anext(pieces)).splitlines()) == 2
    await hang_up(pools, organisation)
    with pytest.raises(Unavailable):
        await anext(pieces)


async def hang_up(pools: Pools, organisation: str) -> None:
    """The server hangs up on a reader."""
    with suppress(psycopg.OperationalError):
        async with pools.reading(organisation) as connection:
            await connection.execute("reset role")
            await connection.execute("select pg_terminate_backend(pg_backend_pid())")


async def test_an_export_that_breaks_off_has_a_gap(tmp_path: Path) -> None:
    empty = tmp_path / "empty.ndjson"
    empty.write_text('{"events": 0}\n')
    assert verified(Namespace(log=str(empty), checkpoints=None, key=None, after=0, to=LAST))["code"] == 0
    empty.write_text("")
    assert verified(Namespace(log=str(empty), checkpoints=None, key=None, after=0, to=LAST))["code"] == 3
