"""What the CDEvents twin of an event needs to know beyond it: which release it is about, and what was live before."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from uuid import UUID

from adapters.nats.cdevents import Known, has_twins
from adapters.nats.source import StoredEvent
from adapters.postgres.event_store import PostgresEventStore
from domain.incident import Incident, Relation
from domain.recorded import RecordedEvent
from domain.status import Status, Trigger
from domain.taxonomy import Taxonomy

REMEMBERED = 10_000
LINKED, UNLINKED = Incident.Linked.TOPIC, Incident.Unlinked.TOPIC
FIRST_LIVE = (0, "")


class TwinFacts:
    """Read from the streams of the organisation that the event is of; what was read is remembered for a while."""

    def __init__(self, store: PostgresEventStore) -> None:
        self.store = store
        self.beginnings: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self.first_live: OrderedDict[tuple[str, str], tuple[int, str]] = OrderedDict()

    async def known(self, event: StoredEvent) -> Known | None:
        """See the port."""
        if not has_twins(event.topic):
            return None
        aggregate = event.topic.partition(".")[0]
        if aggregate == "freezes":
            return Known("")
        if aggregate == "incident":
            return await self.cause(event)
        began = await self.beginning(event.organisation, event.stream_id)
        if aggregate == "deployment":
            return known_deployment(began, await self.lived(event, began))
        return KNOWN[aggregate](began)

    async def cause(self, event: StoredEvent) -> Known:
        """The deployment that a link names, else the first that is known to have caused the incident by then."""
        story = await self.store.history(event.organisation, event.stream_id)
        causes = linked([one for one in story if one.position <= event.commit_position])
        mine = [one.data["deployment_id"] for one in story if one.position == event.position and one.topic == LINKED]
        for deployment_id in [*mine, *causes][:1]:
            for aggregate in ("deployment", "data_deployment"):
                if began := await self.beginning(event.organisation, f"{aggregate}-{deployment_id}"):
                    return KNOWN[aggregate](began)
        return Known("")

    async def beginning(self, organisation: str, stream_id: str) -> dict[str, Any]:
        """The first event of the stream; nothing where there is none."""
        if (found := self.beginnings.get(stream_id)) is None:
            found = next((one.data for one in await self.store.history(organisation, stream_id)), {})
            remember(self.beginnings, stream_id, found)
        return found

    async def lived(self, event: StoredEvent, began: dict[str, Any]) -> bool:
        """Whether another deployment of the lane was live in the same environment before."""
        if event.topic != "deployment.deployed":
            return False
        lane_id = Taxonomy(**began["taxonomy"]).lane_id(event.organisation)
        environment = began["release"]["environment"]
        if (key := (str(lane_id), environment)) not in self.first_live:
            remember(self.first_live, key, await self.first(event.organisation, lane_id, environment))
        position, deployment_id = self.first_live[key]
        return position < event.position and f"deployment-{deployment_id}" != event.stream_id

    async def first(self, organisation: str, lane_id: UUID, environment: str) -> tuple[int, str]:
        """Where something of this lane went live in this environment for the first time, and what."""
        for one in await self.store.history(organisation, f"lane-{lane_id}"):
            if one.topic == "lane.deployment_moved":
                entry = one.data["entry"]
                if (entry["status"], entry["environment"]) == (Status.DEPLOYED, environment):
                    return one.position, entry["deployment_id"]
        return FIRST_LIVE


def linked(story: list[RecordedEvent]) -> list[str]:
    """Which deployments caused the incident, as far as its story tells, in the order in which they were named."""
    found: dict[str, None] = {}
    for one in story:
        if one.topic == LINKED and one.data["relation"] == Relation.CAUSED:
            found[one.data["deployment_id"]] = None
        elif one.topic == UNLINKED and one.data["relation"] == Relation.CAUSED:
            found.pop(one.data["deployment_id"], None)
    return list(found)


def known_deployment(began: dict[str, Any], lived: bool = False) -> Known:
    """What a deployment is, from the event that scheduled it."""
    taxonomy, release, uri = began["taxonomy"], began["release"], began["deployment_uri"]
    parts = (taxonomy["provider"], taxonomy["cloud_account_id"], taxonomy["region"], taxonomy["cell"])
    return Known(
        name=taxonomy["name"],
        place=tuple(part for part in parts if part),
        version=release["version"],
        environment=release["environment"],
        rollback=began["trigger"] == Trigger.ROLLBACK,
        uri=uri if uri and uri.startswith(("https://", "http://")) else None,
        lived=lived,
    )


KNOWN: dict[str, Callable[[dict[str, Any]], Known]] = {
    "deployment": known_deployment,
    "data_deployment": lambda began: Known(
        began["package"], version=began["version"], environment=began["environment"]
    ),
    "environment": lambda began: Known(began["name"]),
    "job": lambda began: Known(began["handler"]),
}


def remember(place: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    """Files it, and lets go of what was filed first when there are too many."""
    place[key] = value
    if len(place) > REMEMBERED:
        place.popitem(last=False)
