"""Why something is as it is: the events that led there, link by link, each with its rule, its inputs and its hash."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.freezes import Freezes
from domain.recorded import RecordedEvent
from domain.rules import HouseRules, Rules
from domain.status import Trigger
from projections.deployments import STATUS_OF
from projections.history import entry_in_words
from projections.verdict import Standing

Told = tuple[RecordedEvent, Any]
REFERRING = ("skipped_by", "replaced_by", "source_deployment_id", "rollback_from_deployment_id")
TOKEN = ("issuer", "owner", "owner_id", "repository_id", "client")
COMMIT = ("commit_sha", "committed_at", "change_url", "build_uri", "version")
OF_THE_LANE = ("lane.superseded", "lane.held")


@dataclass(frozen=True, slots=True)
class Story:
    """What was read of a deployment up to one position.

    `own` are its events, `beside` all others of the commits that these came with. `freezes` and `rules` are those of
    the organisation, each with the event of the domain that it holds. `hold` is how the lane came to be held, and
    with what else.
    """

    own: Sequence[RecordedEvent]
    beside: Sequence[RecordedEvent] = ()
    freezes: Sequence[Told] = ()
    rules: Sequence[Told] = ()
    hold: Sequence[RecordedEvent] = field(default=())

    def freezes_at(self, position: int) -> Freezes | None:
        """The freezes as they were then."""
        freezes: Freezes | None = folded(self.freezes, position)
        return freezes

    def rules_at(self, position: int) -> HouseRules:
        """The rules as they were then."""
        rules: Rules | None = folded(self.rules, position)
        return rules.rules if rules else HouseRules()

    @property
    def last(self) -> RecordedEvent:
        """Its last change of status."""
        return next((e for e in reversed(self.own) if e.topic in STATUS_OF), self.own[0])

    @property
    def rollback(self) -> str | None:
        """What replaced it, or the rollback that left the lane's hold behind."""
        if by := self.last.data.get("replaced_by"):
            return str(by)
        scheduled = (e for e in self.hold if e.topic == "deployment.scheduled")
        return next((e.stream_id[11:] for e in scheduled), None)


def folded(told: Iterable[Told], position: int) -> Any:
    """An aggregate as it was at a position; None when it was not there yet."""
    aggregate: Any = None
    for recorded, event in told:
        if recorded.position <= position:
            aggregate = event.mutate(aggregate)
    return aggregate


def people_in(story: Story) -> set[str]:
    """The pseudonyms of all who have to do with it."""
    events = [*story.own, *story.beside, *story.hold, *(e for told in (story.freezes, story.rules) for e, _ in told)]
    return {event.envelope["actor"]["id"] for event in events}


def chain(story: Story, standing: Standing, kinds: Sequence[str]) -> list[dict[str, Any]]:
    """The links in order: its own events, and what of others' they rest on."""
    found = {e.position: e for e in [*story.own, *related(story), *governing(story, standing), *holding(story, kinds)]}
    if "frozen" in kinds and standing.freezes:
        found |= {e.position: e for e in declarations(story, standing.freezes, standing, story.own[-1])}
    if "needs_approval" in kinds:
        found |= {e.position: e for e in last_rules(story, None)}
    return [link(found[position], story.own[0].stream_id, standing.names) for position in sorted(found)]


def related(story: Story) -> Iterator[RecordedEvent]:
    """Of the same commits: what the lane decided, and what became of the deployments that its events name."""
    streams = {f"deployment-{id}" for event in story.own for name in REFERRING if (id := event.data.get(name))}
    yield from (e for e in story.beside if e.topic in OF_THE_LANE or e.stream_id in streams)


def governing(story: Story, standing: Standing) -> Iterator[RecordedEvent]:
    """The freezes that it started in spite of, and the rules that asked for its approval."""
    for event in story.own:
        if event.data.get("override") and (freezes := story.freezes_at(event.position)):
            yield from declarations(story, freezes, standing, event)
        if event.topic == "deployment.approved" and asked_for(story, standing, event):
            yield from last_rules(story, event)


def declarations(story: Story, freezes: Freezes, standing: Standing, event: RecordedEvent) -> Iterator[RecordedEvent]:
    """How the freeze came to be that covered it when the event happened, or covers it now."""
    now = standing.now if event is story.own[-1] and not event.data.get("override") else event.recorded_at
    covering = freezes.covering(standing.taxonomy, standing.row["environment"], now)
    for recorded, _ in story.freezes if covering else ():
        if covering and recorded.data.get("freeze", {}).get("id") == covering.id:
            yield recorded


def asked_for(story: Story, standing: Standing, event: RecordedEvent) -> bool:
    """Whether a rule asked for an approval then."""
    trigger, rules = Trigger(standing.row["trigger"]), story.rules_at(event.position)
    return rules.approval_for(trigger, standing.taxonomy, standing.row["environment"]) is not None


def last_rules(story: Story, before: RecordedEvent | None) -> list[RecordedEvent]:
    """How the rules came to be that were in force."""
    found = [e for e, _ in story.rules if e.topic == "rules.set" and (before is None or e.position < before.position)]
    return found[-1:]


def holding(story: Story, kinds: Sequence[str]) -> list[RecordedEvent]:
    """How the hold came to be that keeps it."""
    return [e for e in story.hold if e.topic == "lane.held"] if "held" in kinds else []


def link(event: RecordedEvent, own: str, names: Mapping[str, str]) -> dict[str, Any]:
    """One event as a link of the chain."""
    entry, origin = entry_in_words(event), event.envelope["origin"]
    decision = event.envelope.get("decision") or {"rule": None, "inputs": None}
    release = event.data.get("release")
    told = {name: entry[name] for name in ("position", "topic", "at", "recorded_at", "reason", "run", "interface")}
    return {
        **told,
        "actor": names.get(entry["actor"], entry["actor"]),
        "summary": words_of(event, entry["summary"], own),
        "stream": event.stream_id,
        "rule": decision["rule"],
        "inputs": decision["inputs"],
        "token": {name: origin.get(name) for name in TOKEN},
        "commit": {name: release.get(name) for name in COMMIT} if release else None,
        "event_id": str(event.event_id),
        "hash": event.hash.hex(),
    }


def words_of(event: RecordedEvent, summary: str, own: str) -> str:
    """What happened, in a few words; of others with their ids."""
    data = event.data
    match event.topic:
        case "lane.held":
            hold = data["hold"]
            return (
                f"The lane holds automatic deployments up to number {hold['number']}, or of version {hold['version']}"
            )
        case "lane.superseded":
            which = "automatic ones" if data["automatic_only"] else "ones"
            return f"The {which} that waited with a number under {data['below']} left the queue for {data['by']}"
        case "freezes.declared":
            return f"Frozen: {data['freeze']['reason']}, {until_in_words(data['freeze'])}"
        case "rules.set":
            return f"The organisation set its rules: {approvals_in_words(data['rules'])}"
    return summary if event.stream_id == own else f"{event.stream_id[11:]}: {summary}"


def until_in_words(freeze: dict[str, Any]) -> str:
    """How long a freeze lasts."""
    return f"until {freeze['until']}" if freeze["until"] else "until it is lifted"


def approvals_in_words(rules: dict[str, Any]) -> str:
    """What needs approvals."""
    scopes = ["+".join(v for v in rule["scope"].values() if v) or "everything" for rule in rules["approval"]]
    return f"manual deployments need an approval in {'; '.join(scopes)}" if scopes else "nothing needs an approval"
