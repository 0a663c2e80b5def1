"""Runners, approvals, holds, freezes and rollbacks in any order, each held against the model of the queue."""

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

import httpx2
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from tests.queue.claims_model import Clock, Known, Model

LIMIT = 60
CELLS = st.sampled_from([None, "b"])
ENVIRONMENTS = st.sampled_from(["production", "staging"])
VERSIONS = st.sampled_from(["1", "2", "3"])
SCOPES = st.sampled_from([{}, {"cell": "b"}, {"environment": "staging"}, {"cell": "b", "environment": "production"}])
ANY = st.integers(0, 10**6)
numbers = count(1)


class Runners(RuleBasedStateMachine):
    """One organisation with two lanes, and everybody who may touch them."""

    def __init__(self, url: str, clock: Clock, sweep: Callable[[], None]) -> None:
        super().__init__()
        self.client = httpx2.Client(base_url=url, headers={"X-Organisation": f"org{next(numbers)}"}, timeout=LIMIT)
        self.clock = clock
        self.sweep = sweep

    def teardown(self) -> None:
        self.client.close()

    @initialize(cells=st.lists(CELLS, min_size=2, max_size=4))
    def begin(self, cells: list[str | None]) -> None:
        self.model = Model(self.clock.now)
        for cell, version in ((None, "1"), (None, "2"), ("b", "1")):
            self.add(cell, version, "production", True)
            self.report(len(self.model.deployments) - 1, "deployed", False)
        for number, cell in enumerate(cells):
            self.add(cell, str(number % 3 + 1), "production", auto=number % 2 == 0)

    def ask(self, method: str, path: str, expect: int, body: Any = None, **query: Any) -> Any:
        """The answer's body; its status must be the expected one."""
        params = {name: value for name, value in query.items() if value is not None}
        answer = self.client.request(method, f"/v1{path}", json={} if body is None else body, params=params)
        assert answer.status_code == expect, (method, path, body, query, answer.text)
        return answer.json() if answer.content else None

    def one(self, number: int) -> Known:
        """One of the newest few deployments, so that one and the same is met often."""
        newest = self.model.deployments[-6:]
        return newest[number % len(newest)]

    def lane(self, cell: str | None) -> dict[str, Any]:
        """A lane as requests name it."""
        return {"name": "shop", "provider": "gcp"} | ({"cell": cell} if cell else {})

    @rule(cell=CELLS, version=VERSIONS, environment=ENVIRONMENTS, auto=st.booleans())
    def queue(self, cell: str | None, version: str, environment: str, auto: bool) -> None:
        self.add(cell, version, environment, auto)

    def add(self, cell: str | None, version: str, environment: str, auto: bool) -> None:
        """Queues one."""
        body = {**self.lane(cell), "version": version, "environment": environment, "auto": auto, "type": "k8s"}
        self.model.add(self.ask("POST", "/deployments", 201, body))

    @rule(cells=st.permutations([None, "b"]), both=st.booleans(), override=st.booleans(), seconds=st.integers(5, 60))
    def claim(self, cells: list[str | None], both: bool, override: bool, seconds: int) -> None:
        wanted = cells if both else cells[:1]
        body = {"lanes": [self.lane(c) for c in wanted], "runner": "r", "lease_seconds": seconds}
        expected = self.model.claim(wanted, override)
        if isinstance(expected, int):
            self.ask("POST", "/deployments/claim", expected, body | ({"override": "fix"} if override else {}))
            return
        told = self.ask("POST", "/deployments/claim", 200, body | ({"override": "fix"} if override else {}))
        self.model.take(expected, "r", self.clock.now + timedelta(seconds=seconds))
        assert (told["id"], told["lease"]["fence"]) == (expected.id, expected.fence)

    def clear(self, cell: str | None) -> None:
        """Whatever runs in a lane fails, so that something else may start."""
        for one in [d for d in self.model.lane(cell) if d.status == "in_progress"]:
            self.ask("PATCH", f"/deployments/{one.id}", 200, {"status": "failed"})
            one.becomes("failed")

    @rule(cell=CELLS, same=st.booleans(), auto=st.booleans(), override=st.booleans())
    def go_back_and_claim(self, cell: str | None, same: bool, auto: bool, override: bool) -> None:
        self.clear(cell)
        self.go_back(cell, None)
        left = self.model.held[cell].version if same and cell in self.model.held else "3"
        self.add(cell, left, "staging", auto)
        for _ in range(2):
            self.claim([cell], both=False, override=override, seconds=60)
        self.clear(cell)
        self.claim([cell], both=False, override=override, seconds=60)

    @rule(cell=CELLS, passes=st.sampled_from([10, 40, 70]))
    def fall_silent(self, cell: str | None, passes: int) -> None:
        self.clear(cell)
        self.add(cell, "1", "staging", False)
        self.claim([cell], both=False, override=True, seconds=20)
        running = [d for d in self.model.lane(cell) if d.claimed_by]
        for one in running:
            self.beat_once(one, one.fence, 50)
        self.time_passes(passes)

    @rule(cell=CELLS, passes=st.sampled_from([5, 20]))
    def freeze_for_a_while(self, cell: str | None, passes: int) -> None:
        self.clear(cell)
        self.freeze({}, 10)
        self.claim([cell], both=False, override=False, seconds=60)
        self.time_passes(passes)
        self.claim([cell], both=False, override=False, seconds=60)

    @precondition(lambda self: self.model.deployments)
    @rule(number=ANY, late=st.booleans(), seconds=st.integers(5, 60))
    def beat(self, number: int, late: bool, seconds: int) -> None:
        one = self.one(number)
        self.beat_once(one, max(1, one.fence - late), seconds)

    def beat_once(self, one: Known, fence: int, seconds: int) -> None:
        """A heartbeat, which only the runner that holds the claim is allowed."""
        holds = one.claimed_by is not None and fence == one.fence
        body = {"fence": fence, "lease_seconds": seconds}
        self.ask("POST", f"/deployments/{one.id}/heartbeat", 200 if holds else 410, body)
        if holds and one.expires:
            one.expires = max(one.expires, self.clock.now + timedelta(seconds=seconds))

    @precondition(lambda self: self.model.deployments)
    @rule(
        number=ANY,
        status=st.sampled_from(["deployed", "deployed", "failed", "skipped", "scheduled"]),
        leased=st.booleans(),
    )
    def report(self, number: int, status: str, leased: bool) -> None:
        one = self.one(number)
        lost = leased and one.claimed_by is None
        body = {"status": status} | ({"lease": max(1, one.fence)} if leased else {})
        self.ask("PATCH", f"/deployments/{one.id}", 410 if lost else 200, body)
        if not lost:
            one.becomes(status)
            if status == "deployed":
                self.model.supersede(one)

    @precondition(lambda self: self.model.deployments)
    @rule(number=ANY, override=st.booleans())
    def start_by_hand(self, number: int, override: bool) -> None:
        one = self.one(number)
        refused = self.model.frozen(one.lane, one.environment) and not override
        body = {"status": "in_progress"} | ({"override": "fix"} if override else {})
        self.ask("PATCH", f"/deployments/{one.id}", 423 if refused else 200, body)
        if not refused:
            one.becomes("in_progress")

    @rule(seconds=st.integers(1, 90))
    def time_passes(self, seconds: int) -> None:
        self.clock.now += timedelta(seconds=seconds)
        self.model.now = self.clock.now
        self.sweep()
        self.model.lapse()

    @rule(scope=SCOPES, seconds=st.none() | st.integers(1, 90))
    def freeze(self, scope: dict[str, str], seconds: int | None) -> None:
        until = self.clock.now + timedelta(seconds=seconds) if seconds else None
        body = {"scope": scope, "reason": "sale"} | ({"until": until.isoformat()} if until else {})
        self.model.freezes[self.ask("POST", "/freezes", 201, body)["id"]] = (scope, until)

    @precondition(lambda self: self.model.freezes)
    @rule()
    def lift(self) -> None:
        freeze_id, _ = self.model.freezes.popitem()
        self.ask("POST", f"/freezes/{freeze_id}/lift", 200)
        self.ask("POST", f"/freezes/{freeze_id}/lift", 404)

    @precondition(lambda self: self.model.deployments)
    @rule(number=ANY)
    def approve(self, number: int) -> None:
        one = self.one(number)
        waits = one.status == "scheduled"
        self.ask("POST", f"/deployments/{one.id}/approve", 200 if waits else 409)
        one.approved = one.approved or waits

    @rule(asked=st.booleans())
    def decide_on_approvals(self, asked: bool) -> None:
        self.ask("PUT", "/rules", 200, {"approval": [{"scope": {"environment": "production"}}] if asked else []})
        self.model.needs_approval = asked

    @rule(cell=CELLS, version=st.none() | VERSIONS)
    def go_back(self, cell: str | None, version: str | None) -> None:
        current = self.model.current(cell)
        source = self.model.source(cell, current, version)
        path, query = "/deployments/rollback", {**self.lane(cell), "target_version": version}
        told = self.ask("POST", path, 201 if source else 404, **query)
        if source:
            assert told["source_deployment_id"] == source.id
            assert told["rollback_from_deployment_id"] == (current.id if current else None)
            self.model.add(told)
            if current:
                self.model.held[cell] = current

    @precondition(lambda self: self.model.deployments)
    @rule(number=ANY, version=st.none() | VERSIONS, override=st.booleans())
    def replace(self, number: int, version: str | None, override: bool) -> None:
        self.replace_one(self.one(number), version, override)

    def replace_one(self, one: Known, version: str | None, override: bool) -> None:
        """Rolls back one deployment at once."""
        source = self.model.source(one.lane, one, version)
        frozen = source is not None and not override and self.model.frozen(one.lane, source.environment)
        expected = 404 if source is None else 423 if frozen else 201
        query = {"target_version": version, "override": "fix" if override else None}
        told = self.ask("POST", f"/deployments/{one.id}/rollback", expected, **query)
        if expected == 201:
            self.model.add(told)
            one.becomes("rolled_back")
            self.model.held[one.lane] = one

    @rule(cell=CELLS)
    def replace_what_is_live(self, cell: str | None) -> None:
        live = self.model.source(cell, None, None)
        if live:
            self.replace_one(live, None, override=True)
        self.go_back(cell, None)

    @rule(cell=CELLS)
    def release(self, cell: str | None) -> None:
        held = self.model.held.pop(cell, None)
        self.ask("POST", "/lanes/release", 200 if held else 404, self.lane(cell))

    @invariant()
    def the_queue_is_as_the_model_says(self) -> None:
        listed = self.ask("GET", "/deployments", 200, limit=1000)
        expected = [one.shown() for one in reversed(self.model.deployments)]
        assert [
            {name: told[name] for name in wanted} for told, wanted in zip(listed, expected, strict=True)
        ] == expected
