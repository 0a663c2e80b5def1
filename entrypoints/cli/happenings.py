"""What happened, on one line for people: when, what, and of which component, environment and version."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from entrypoints.cli.failures import Failure
from entrypoints.cli.output import moment, safe
from entrypoints.cli.session import part

if TYPE_CHECKING:
    from rollbook_subscriber.reading import Event

    from entrypoints.cli.client import Api

REMEMBERED = 10_000


class Happenings:
    """Tells events as they come; what they say of a deployment is remembered, what they do not say is asked for."""

    def __init__(self, api: "Api") -> None:
        self.api = api
        self.known: dict[str, str] = {}

    def line(self, event: "Event") -> str:
        """The event; its stream at the end, to copy."""
        told = f"{event.position}  {moment(event.recorded_at)}  {event.topic:28}  {self.about(event):40}"
        return safe(f"{told}  {event.stream}")

    def about(self, event: "Event") -> str:
        """`component/environment version` of its deployment, or else what it says itself; perhaps nothing."""
        deployment_id = deployment_of(event)
        if event.topic == "deployment.scheduled":
            release = event.payload["release"]
            self.remember(deployment_id, words(event.payload["taxonomy"] | release))
        elif deployment_id and deployment_id not in self.known:
            self.remember(deployment_id, self.asked(deployment_id))
        return self.known.get(deployment_id) or itself(event.payload)

    def remember(self, deployment_id: str, told: str) -> None:
        """Keeps it; not more of them than fit in little memory."""
        if len(self.known) >= REMEMBERED:
            self.known.clear()
        self.known[deployment_id] = told

    def asked(self, deployment_id: str) -> str:
        """What the server says of a deployment; nothing where it says no."""
        try:
            return words(self.api.get(f"/v1/deployments/{part(deployment_id)}").body)
        except Failure:
            return ""


def deployment_of(event: "Event") -> str:
    """Whose event it is: its own, or that which a lane or an incident speaks of."""
    kind, _, own_id = event.stream.partition("-")
    entry = event.payload.get("entry")
    found = own_id if kind == "deployment" else (entry if isinstance(entry, dict) else event.payload)
    return found if isinstance(found, str) else str(found.get("deployment_id") or "")


def itself(payload: Mapping[str, Any]) -> str:
    """What stands in the event, at the places where the filters of the feed look too."""
    from adapters.feed.wanted import ENVIRONMENT, NAME, first_said

    return words({"name": first_said(payload, NAME), "environment": first_said(payload, ENVIRONMENT)})


def words(told: Mapping[str, Any]) -> str:
    """As references are written: the component and the environment; and the version."""
    where = "/".join(str(told[one]) for one in ("name", "environment") if told.get(one))
    return " ".join(one for one in (where, str(told.get("version") or "")) if one)
