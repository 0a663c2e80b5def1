"""The life of one thing, step by step: what its aggregate and its row were before and after each event."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from pydantic_core import to_jsonable_python

from adapters.postgres import codec
from domain.recorded import RecordedEvent
from projections.history import entry_in_words
from projections.read_model import ReadModel, Row
from projections.registry import DATA_DEPLOYMENTS, DEPLOYMENTS, INCIDENTS, JOBS, LANES, PACKAGES

State = dict[str, Any]
Change = tuple[str, Any, Any]
HIDDEN = ("_pending_events", "_created_on", "_modified_on", "_id")
NOTHING: State = {}
# Of which read model one row is what happened in one stream.
ROWS: Mapping[str, ReadModel] = {
    "deployment": DEPLOYMENTS,
    "lane": LANES,
    "job": JOBS,
    "data_deployment": DATA_DEPLOYMENTS,
    "package": PACKAGES,
    "incident": INCIDENTS,
}


@dataclass(frozen=True, slots=True)
class Step:
    """One event as the history tells it, and everything after it; `row` is that of the read model."""

    entry: Mapping[str, Any]
    state: State
    row: Row

    @property
    def known(self) -> State:
        """State and row, one value a name; those of the row begin with `row.`."""
        return flat(self.state) | {f"row.{name}": value for name, value in flat(self.row).items()}


@dataclass(slots=True)
class Life:
    """All steps, and where somebody looks: at 0 nothing has happened yet."""

    steps: Sequence[Step]
    at: int = 0
    breaks: dict[str, str | None] = field(default_factory=dict)

    @property
    def step(self) -> Step | None:
        """Where it is."""
        return self.steps[self.at - 1] if self.at else None

    def known(self, at: int) -> State:
        """All values after so many steps."""
        return self.steps[at - 1].known if at else NOTHING

    def differences(self, at: int) -> list[Change]:
        """What a step changed: name, before and after."""
        before, after = self.known(at - 1) if at else NOTHING, self.known(at)
        names = sorted(before.keys() | after.keys())
        return [(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)]

    def move(self, by: int) -> bool:
        """So many steps on, or back; whether that is anywhere else."""
        before, self.at = self.at, max(0, min(len(self.steps), self.at + by))
        return self.at != before

    def find(self, number: int) -> int | None:
        """The step of this number; else that of the event at this position, or of the last before it."""
        if 0 <= number <= len(self.steps):
            return number
        return self.find_position(number)

    def find_position(self, position: int) -> int | None:
        """The step after which the log was at this position."""
        past = [n for n, step in enumerate(self.steps, 1) if step.entry["position"] <= position]
        return past[-1] if past else None

    def go_on(self) -> list[str]:
        """On to the next break, whose names it answers; else to the end."""
        while self.move(1):
            if hit := [name for name, _, after in self.differences(self.at) if self.breaks_at(name, after)]:
                return hit
        return []

    def breaks_at(self, name: str, value: Any) -> bool:
        """Whether somebody wants to know of this change."""
        return name in self.breaks and self.breaks[name] in (None, written(value))


def written(value: Any) -> str:
    """A value as somebody would type it."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def flat(value: Mapping[str, Any], prefix: str = "") -> State:
    """Nested members by their dotted names."""
    found: State = {}
    for name, member in value.items():
        if isinstance(member, dict) and member:
            found |= flat(member, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = member
    return found


def life_of(history: Mapping[str, Any]) -> Life:
    """The life that a deployment's history tells, folded by the domain and by the read model."""
    stream_id = f"deployment-{history['deployment_id']}"
    return Life(list(steps((recorded(stream_id, n, one), one) for n, one in enumerate(history["entries"], 1))))


def life_of_stream(stream_id: str, events: Iterable[Mapping[str, Any]]) -> Life:
    """The life that the audit tells of one stream, from its beginning."""
    return Life(list(steps(audited(stream_id, one) for one in events)))


def audited(stream_id: str, told: Mapping[str, Any]) -> tuple[RecordedEvent, Mapping[str, Any]]:
    """An event of the audit, and how a history tells it."""
    plain = recorded(stream_id, told["version"], {**told, "data": told["payload"]})
    event = replace(plain, envelope_bytes=orjson.dumps(told["envelope"]))
    return event, {**entry_in_words(event), "summary": told["summary"], "actor": told["actor"]["login"]}


def steps(told: Iterable[tuple[RecordedEvent, Mapping[str, Any]]]) -> Iterator[Step]:
    """One after the other; what lists show no row of has an empty one."""
    aggregate, row = None, None
    for event, entry in told:
        aggregate = decoded(event).mutate(aggregate)
        if model := ROWS.get(event.stream_id.partition("-")[0]):
            row = model.fold(row, event, codec.upcast(event.topic, event.schema_version, event.data)[1])
        yield Step(entry, state_of(aggregate), row or {})


def recorded(stream_id: str, number: int, entry: Mapping[str, Any]) -> RecordedEvent:
    """The event that an entry tells of."""
    return RecordedEvent(
        position=entry["position"],
        commit_position=entry["commit_position"],
        event_id=UUID(entry["event_id"]),
        stream_id=stream_id,
        version=number,
        topic=entry["topic"],
        schema_version=entry["schema_version"],
        organisation=entry["data"].get("organisation", ""),
        sequence=0,
        recorded_at=datetime.fromisoformat(entry["recorded_at"]),
        payload=orjson.dumps(entry["data"]),
        envelope_bytes=b"{}",
        previous_hash=b"",
        hash=bytes.fromhex(entry["hash"]),
    )


def decoded(event: RecordedEvent) -> Any:
    """The event of the domain."""
    owner = UUID(event.stream_id.partition("-")[2])
    return codec.decode(event.topic, event.schema_version, event.payload, owner, event.version, event.recorded_at)


def state_of(aggregate: Any) -> State:
    """What the aggregate knows."""
    known = {name.lstrip("_"): value for name, value in vars(aggregate).items() if name not in HIDDEN}
    plain: State = to_jsonable_python(known)
    return plain
