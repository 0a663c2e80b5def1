"""What the CDEvents twin of an event needs to know beyond it: which release it is about, and what was live before."""

from collections import OrderedDict
from typing import Any
from uuid import UUID

from adapters.nats.cdevents import Known, has_twins
from adapters.nats.source import StoredEvent
from adapters.postgres.event_store import PostgresEventStore
from domain.status import Status, Trigger
from domain.taxonomy import Taxonomy

REMEMBERED = 10_000
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
        began = await self.beginning(event)
        if aggregate == "environment":
            return Known(began["name"])
        if aggregate == "data_deployment":
            return Known(began["package"], version=began["version"], environment=began["environment"])
        return known_deployment(began, await self.lived(event, began))

    async def beginning(self, event: StoredEvent) -> dict[str, Any]:
        """The first event of the stream."""
        if (found := self.beginnings.get(event.stream_id)) is None:
            found = (await self.store.history(event.organisation, event.stream_id))[0].data
            remember(self.beginnings, event.stream_id, found)
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


def known_deployment(began: dict[str, Any], lived: bool) -> Known:
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


def remember(place: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    """Files it, and lets go of what was filed first when there are too many."""
    place[key] = value
    if len(place) > REMEMBERED:
        place.popitem(last=False)
