"""What happened, on one line for people: when, what, and of which component, environment and version."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from entrypoints.cli.failures import Exit, Failure
from entrypoints.cli.output import moment, safe
from entrypoints.cli.session import part

if TYPE_CHECKING:
    from rollbook_subscriber.reading import Event

    from entrypoints.cli.client import Api

REMEMBERED = 10_000
# Where the server tells of things, by the kind of their streams.
PLACES = {
    "deployment": "/v1/deployments/{}",
    "data_deployment": "/api/deployments/deploy-{}",
    "job": "/api/jobs/job-{}",
}
UNKNOWN = (Failure, KeyError, TypeError, AttributeError)


class Happenings:
    """Tells events as they come; what they say of a thing is remembered, what they do not say is asked for once."""

    def __init__(self, api: "Api") -> None:
        self.api = api
        self.known: dict[str, str] = {}
        self.refused: set[str] = set()

    def line(self, event: "Event") -> str:
        """The event; its stream at the end, to copy."""
        told = f"{event.position}  {moment(event.recorded_at)}  {event.topic:28}  {self.about(event):40}"
        return safe(f"{told}  {event.stream}")

    def about(self, event: "Event") -> str:
        """`component/environment version` of what it is about, or else what it says itself; perhaps nothing."""
        subject = subject_of(event)
        if said := said_first(event):
            self.remember(subject, said)
        elif subject not in self.known:
            self.remember(subject, self.asked(subject))
        return self.known.get(subject) or itself(event.payload)

    def remember(self, subject: str, told: str) -> None:
        """Keeps it; not more of them than fit in little memory."""
        if len(self.known) >= REMEMBERED:
            self.known.clear()
        self.known[subject] = told

    def asked(self, subject: str) -> str:
        """What the server says of a thing; nothing where it says no. Of what nobody here may read it is asked once."""
        kind, _, own_id = subject.partition("-")
        if kind not in PLACES or kind in self.refused:
            return ""
        try:
            return said_of(kind, self.api.get(PLACES[kind].format(part(own_id))).body)
        except UNKNOWN as fault:
            if isinstance(fault, Failure) and fault.exit_code is Exit.NOT_ALLOWED:
                self.refused.add(kind)
            return ""


def subject_of(event: "Event") -> str:
    """The stream of what it is about: its own, or that of the deployment that a lane or an incident speaks of."""
    kind, _, _ = event.stream.partition("-")
    entry = event.payload.get("entry")
    found = (entry if isinstance(entry, dict) else event.payload).get("deployment_id")
    if kind in PLACES or not found:
        return event.stream
    return f"{'data_deployment' if kind == 'installation' else 'deployment'}-{found}"


def said_first(event: "Event") -> str:
    """What the first event of a stream says; nothing of any other."""
    said = event.payload
    match event.topic:
        case "deployment.scheduled":
            return words(said["taxonomy"] | said["release"])
        case "data_deployment.requested":
            return words({**said, "name": said["package"]})
        case "job.requested":
            return of_job(said["handler"], said["arguments"])
    return ""


def said_of(kind: str, answer: Any) -> str:
    """The same, of what the server tells."""
    match kind:
        case "data_deployment":
            one = answer["deployment"]
            return words({**one, "name": one["packagename"], "version": one["packageversion"]})
        case "job":
            return of_job(answer["handler"], answer["job_data"])
    return words(answer)


def of_job(handler: str, arguments: Mapping[str, Any]) -> str:
    """What kind of work it is, and where."""
    where = words({"name": arguments.get("package"), "environment": arguments.get("environment")})
    return f"{handler} {where}".strip()


def itself(payload: Mapping[str, Any]) -> str:
    """What stands in the event, at the places where the filters of the feed look too."""
    from adapters.feed.wanted import ENVIRONMENT, NAME, first_said

    return words({"name": first_said(payload, NAME), "environment": first_said(payload, ENVIRONMENT)})


def words(told: Mapping[str, Any]) -> str:
    """As references are written: the component and the environment; and the version."""
    where = "/".join(str(told[one]) for one in ("name", "environment") if told.get(one))
    return " ".join(one for one in (where, str(told.get("version") or "")) if one)
