"""Why a deployment is live, or why it is not: what it waits for, what stands in its way, or how it ended."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from domain.freezes import Freeze, Freezes
from domain.lane_rules import Entry, Hold
from domain.rules import ApprovalRule, HouseRules
from domain.status import Status, Trigger
from domain.taxonomy import Taxonomy
from projections.read_model import Row

Reason = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """All that a verdict rests on, as it was at one position. `names` are logins by pseudonym.

    `live` is what is live in its lane and environment; `waiting` are the others that wait in its lane. `rollback` is
    the deployment that left the lane's hold behind, as far as that is known, and `last` the topic of its own last
    change of status, `by` who told that, `at` when.
    """

    row: Row
    lane: Row | None
    live: Row | None
    waiting: Sequence[Row]
    freezes: Freezes | None
    rules: HouseRules
    now: datetime
    last: str = "deployment.scheduled"
    by: str = ""
    at: str = ""
    rollback: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def taxonomy(self) -> Taxonomy:
        """Where it goes."""
        row = self.row
        return Taxonomy(row["name"], row["provider"], row["cloud_account_id"], row["region"], row["cell"])

    @property
    def hold(self) -> Hold | None:
        """What a rollback holds back in its lane."""
        held = self.lane and self.lane["held"]
        return Hold(held["version"], held["number"], held["deployment_id"]) if held else None


def verdict(standing: Standing) -> dict[str, Any]:
    """In which state it is, and why; the first reason names the state."""
    reasons = list(TELLS[Status(standing.row["status"])](standing))
    return {"state": reasons[0]["kind"], "reasons": reasons}


def reason(kind: str, words: str, refers_to: str | None = None, of: str = "deployment", **more: Any) -> Reason:
    """One reason; `refers_to` is the deployment, the freeze or whatever it is about."""
    about = None if refers_to is None else {"kind": of, "id": refers_to}
    return {"kind": kind, "words": words, "refers_to": about, "rule": None, "until": None, **more}


def waiting(standing: Standing) -> Iterator[Reason]:
    """Everything that keeps it from being claimed, what binds most first; then how it came to wait again."""
    obstacles = [*held(standing), *unapproved(standing), *frozen(standing), *behind(standing)]
    yield from obstacles or [
        reason("next", "Nothing stands in its way: the next runner that asks for this lane has it")
    ]
    if standing.last == "deployment.claim_lapsed":
        yield reason("lease_lapsed", "It waits again because the runner that had claimed it was not heard of in time")
    if standing.last == "deployment.rescheduled":
        yield reason("rescheduled", f"It waits again because {standing.by} reported it as scheduled at {standing.at}")


def held(standing: Standing) -> Iterator[Reason]:
    """A rollback left a hold in its lane."""
    hold = standing.hold
    if hold and hold.covers(entry_of(standing.row)):
        because = f"{hold.deployment_id} ({hold.version}) was rolled back"
        because += f" by {standing.rollback}" if standing.rollback else ""
        kept = f"automatic deployments up to number {hold.number}, or of version {hold.version}, wait"
        words = f"It is held since {because}: {kept} until somebody releases the hold of the lane"
        yield reason("held", words, standing.rollback or hold.deployment_id, rule="held-after-rollback")


def unapproved(standing: Standing) -> Iterator[Reason]:
    """A rule of the organisation asks for an approval."""
    row = standing.row
    rule = standing.rules.approval_for(Trigger(row["trigger"]), standing.taxonomy, row["environment"])
    if rule and not row["approved"]:
        words = f"It needs an approval: a rule of the organisation asks for one for {scope_in_words(rule.scope)}; "
        yield reason(
            "needs_approval", words + f"{who_may(rule)} may give it, but not {who_asked(standing)}", of="rules"
        )


def who_asked(standing: Standing) -> str:
    """Nobody approves what they asked for."""
    return standing.names.get(standing.row["actor"], "who asked for it")


def who_may(rule: ApprovalRule) -> str:
    """Whose approval the rule takes."""
    if not rule.claims:
        return "an approver or an administrator"
    return "whoever comes with " + " and ".join(f"{name} {value}" for name, value in sorted(rule.claims.items()))


def scope_in_words(scope: Any) -> str:
    """What a freeze or a rule covers."""
    told = [f"{name} {value}" for name, value in asdict(scope).items() if value is not None]
    return ", ".join(told) or "everything"


def frozen(standing: Standing) -> Iterator[Reason]:
    """A freeze covers its lane and environment."""
    covering = standing.freezes and standing.freezes.covering(
        standing.taxonomy, standing.row["environment"], standing.now
    )
    if covering:
        yield frozen_by(standing, covering)


def frozen_by(standing: Standing, freeze: Freeze) -> Reason:
    """Which freeze, by whom, and when the window opens."""
    who = standing.names.get(freeze.by, freeze.by)
    opens = f"the window opens at {freeze.until}" if freeze.until else "the window opens when somebody lifts it"
    words = f"It is frozen by {who} ({freeze.reason}), for {scope_in_words(freeze.scope)}: {opens}"
    return reason("frozen", words, freeze.id, "freeze", rule="frozen", until=freeze.until)


def behind(standing: Standing) -> Iterator[Reason]:
    """What a runner would get first, or waits for."""
    for other in (standing.lane or {}).get("in_progress", ()):
        words = f"It waits behind {named(other)}, which is in progress since {other['since']}"
        yield reason("in_progress", words, other["deployment_id"], rule="one-at-a-time")
    able = [one for one in standing.waiting if may_start(standing, one) and one["id"] != standing.row["id"]]
    urgent = [one for one in able if one["trigger"] == Trigger.ROLLBACK]
    mine, is_rollback = standing.row["number"], standing.row["trigger"] == Trigger.ROLLBACK
    for one in urgent if not is_rollback else [u for u in urgent if u["number"] > mine]:
        yield reason("urgent_rollback", f"It waits behind the rollback {named(one)}", one["id"], rule=ORDER_RULE)
    for one in able if not is_rollback else ():
        if one not in urgent and one["number"] > mine:
            words = f"A runner takes {named(one)} first, which is newer; {superseding(standing)}"
            yield reason("newer", words, one["id"], rule=ORDER_RULE)


ORDER_RULE = "rollback-first-then-newest"


def superseding(standing: Standing) -> str:
    """What becomes of it then."""
    automatic = standing.row["trigger"] == Trigger.AUTO
    return f"this one is skipped as soon as that {'starts' if automatic else 'is live'}"


def may_start(standing: Standing, row: Row) -> bool:
    """Whether a runner would take another deployment of the lane."""
    rule = standing.rules.approval_for(Trigger(row["trigger"]), standing.taxonomy, row["environment"])
    return (row["approved"] or rule is None) and not (standing.hold and standing.hold.covers(entry_of(row)))


def named(other: Row) -> str:
    """A deployment by id and version."""
    return f"{other.get('deployment_id') or other['id']} ({other['version']})"


def running(standing: Standing) -> Iterator[Reason]:
    """Somebody works on it."""
    runner, until = standing.row["claimed_by"], standing.row["lease_until"]
    if runner:
        words = f"It is in progress: runner {runner} claimed it at {standing.at}, under a lease"
        yield reason("in_progress", words, until=until)
    else:
        yield reason("in_progress", f"It is in progress: {standing.by} reported so at {standing.at}")


def deployed(standing: Standing) -> Iterator[Reason]:
    """It went live, and still is, or something went live after it."""
    live, was = standing.live, f"It went live at {standing.at}"
    if live is None:
        yield reason("replaced", f"{was}, and was replaced; what replaced it is not live any more, and nothing else is")
    elif live["deployment_id"] == standing.row["id"]:
        yield reason("live", f"It is live: {standing.by} reported so at {standing.at}")
    else:
        words = f"{was}, and was replaced by {named(live)}, which is live since {live['since']}"
        yield reason("replaced", words, live["deployment_id"])


def skipped(standing: Standing) -> Iterator[Reason]:
    """Another superseded it, or somebody said that it is skipped."""
    by, rule = standing.row["skipped_by"], standing.row["skip_rule"]
    if by:
        yield reason("superseded", f"{by} superseded it at {standing.at}: {SKIPS.get(rule, rule)}", by, rule=rule)
    else:
        yield reason("skipped", f"{standing.by} reported it as skipped at {standing.at}", rule=rule)


SKIPS = {
    "scheduled-before-deployed": "what was scheduled before a deployment that goes live is skipped",
    "scheduled-before-claimed": "what is automatic and was scheduled before a deployment that starts is skipped",
}


def failed(standing: Standing) -> Iterator[Reason]:
    """It did not go live."""
    yield reason("failed", f"It failed: {standing.by} reported so at {standing.at}")


def cancelled(standing: Standing) -> Iterator[Reason]:
    """It was called off."""
    yield reason("cancelled", f"{standing.by} cancelled it at {standing.at}")


def rolled_back(standing: Standing) -> Iterator[Reason]:
    """Something takes its place."""
    by = standing.rollback
    words = f"{standing.by} rolled it back at {standing.at}" + (f": {by} takes its place" if by else "")
    yield reason("rolled_back", words, by)


def entry_of(row: Row) -> Entry:
    """What the lane knows of it."""
    names = ("number", "version", "environment", "auto", "approved")
    trigger, status = Trigger(row["trigger"]), Status(row["status"])
    return Entry(deployment_id=row["id"], trigger=trigger, status=status, **{name: row[name] for name in names})


TELLS = {
    Status.SCHEDULED: waiting,
    Status.IN_PROGRESS: running,
    Status.DEPLOYED: deployed,
    Status.SKIPPED: skipped,
    Status.FAILED: failed,
    Status.CANCELLED: cancelled,
    Status.ROLLED_BACK: rolled_back,
}
