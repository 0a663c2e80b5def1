"""What is told of why something is live, or is not."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from entrypoints.http.answers import Placed, Run
from entrypoints.http.fields import OptionalText
from entrypoints.http.queue_models import AsOf


class LaneWhy(AsOf):
    """Which environment of the lane, when it is not the one in which something went live last."""

    environment: OptionalText = None


class Reference(BaseModel):
    """What a reason is about."""

    kind: str
    id: str


class VerdictReason(BaseModel):
    """One reason. `until` is when it ends by itself."""

    kind: str
    words: str
    refers_to: Reference | None
    rule: str | None
    until: datetime | None


class Verdict(BaseModel):
    """In which state something is, and why; the first reason binds most."""

    state: str
    reasons: list[VerdictReason]


class TokenFacts(BaseModel):
    """What the token said of who brought it, as far as it is not personal."""

    issuer: str | None
    owner: str | None
    owner_id: str | None
    repository_id: str | None
    client: str | None


class CommitFacts(BaseModel):
    """Which commit the release was built from."""

    commit_sha: str | None
    committed_at: datetime | None
    change_url: str | None
    build_uri: str | None
    version: str


class Link(BaseModel):
    """One event of the chain. `rule` and `inputs` are those of the decision behind it, where there was one."""

    position: int
    topic: str
    summary: str
    at: datetime
    recorded_at: datetime
    actor: str
    reason: str | None
    rule: str | None
    inputs: dict[str, Any] | None
    run: Run
    token: TokenFacts
    commit: CommitFacts | None
    interface: str | None
    stream: str
    event_id: str
    hash: str


class Why(BaseModel):
    """The chain of events that led to where a deployment stands, and why it stands there."""

    deployment_id: str
    lane_id: str
    name: str
    version: str
    environment: str
    status: str
    verdict: Verdict
    chain: list[Link]


class WhyLive(BaseModel):
    """Why something is live in a lane, and what was before; without anything live the verdict says so."""

    lane_id: str
    environment: str | None
    live: Placed | None
    before: Placed | None
    verdict: Verdict
    chain: list[Link]
