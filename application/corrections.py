"""Correcting when a deployment went live: what was recorded first stays on record."""

from dataclasses import dataclass
from datetime import datetime

from application.deployments import load_deployment
from application.execution import Work


@dataclass(frozen=True, slots=True)
class CorrectDeployment:
    """Say when a deployment really went live, and how that is known."""

    deployment_id: str
    went_live_at: datetime
    reason: str


async def correct_deployment(work: Work, command: CorrectDeployment) -> str:
    """Answers the deployment's id."""
    deployment = await load_deployment(work, command.deployment_id)
    deployment.correct(command.went_live_at, command.reason, work.now)
    return str(deployment.id)
