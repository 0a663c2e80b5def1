"""Every aggregate there is; importing this makes all topics known."""

from domain.deployment import Deployment
from domain.freezes import Freezes
from domain.job import Job
from domain.lane import Lane
from domain.organisation import Organisation
from domain.rules import Rules
from domain.token import Token

AGGREGATES = (Deployment, Lane, Freezes, Rules, Token, Organisation, Job)
TOPICS = frozenset(aggregate.TOPIC for aggregate in AGGREGATES)
