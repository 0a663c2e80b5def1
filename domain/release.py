"""What is deployed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Release:
    """What is deployed; a rollback deploys the same again. `pipeline_extra_params` is kept as it was sent."""

    version: str
    environment: str
    type: str
    commit_sha: str | None = None
    pipeline_extra_params: str | None = None
    description: str | None = None
    build_uri: str | None = None
    resource: str | None = None
    committed_at: str | None = None
    change_url: str | None = None
    incident_id: str | None = None
