"""Every aggregate there is; importing this makes all topics known."""

from typing import Any

from eventsourcing.domain import CanMutateAggregate

from domain.audit_export import AuditExport
from domain.data_deployment import DataDeployment
from domain.deployment import Deployment
from domain.environment import Environment
from domain.freezes import Freezes
from domain.incident import Incident
from domain.installation import Installation
from domain.job import Job
from domain.lane import Lane
from domain.organisation import Organisation
from domain.package import Package
from domain.rules import Rules
from domain.teams import Teams
from domain.token import Token
from domain.webhook import Webhook

AGGREGATES = (
    Deployment,
    Lane,
    Freezes,
    Rules,
    Token,
    Organisation,
    Job,
    Package,
    DataDeployment,
    Installation,
    Environment,
    Incident,
    Teams,
    Webhook,
    AuditExport,
)
TOPICS = frozenset(aggregate.TOPIC for aggregate in AGGREGATES)


def _events() -> dict[str, type[Any]]:
    found: dict[str, type[Any]] = {}
    for aggregate in AGGREGATES:
        for name, member in vars(aggregate).items():
            if isinstance(member, type) and issubclass(member, CanMutateAggregate) and name != "Event":
                event_class: Any = member
                found[event_class.TOPIC] = event_class
    return dict(sorted(found.items()))


# Each kind of event by its topic.
EVENTS = _events()
