"""What subscribers of the feed ask for."""

import re
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from entrypoints.http.fields import Past

Topic = Annotated[str, StringConstraints(pattern=r"^(\*|[a-z_]{1,50})(\.(\*|[a-z_]{1,50}))?$")]
Aggregate = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,50}$")]
Lane = Annotated[str, StringConstraints(pattern=r"^(lane-)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
PLACE = re.compile(r"[0-9]{1,18}(\.[0-9]{1,12})?")


class SentEvent(BaseModel):
    """One block of server-sent events: `data` is one line of JSON, which blocks that only move the place have not."""

    id: str | None = None
    event: str | None = None
    data: str | None = None
    retry: int | str | None = None


class Wishes(BaseModel):
    """Where to begin, and what to leave out. Without `from`, and without Last-Event-ID, only what comes from now on.

    A topic may be a pattern: `deployment.*`, `*.deployed`. Events that say nothing of a lane, an environment or a name
    are left out where one is asked for; what the first event of their stream says counts as said by all of them.
    """

    since: Past | None = Field(default=None, alias="from")
    topic: list[Topic] = Field(default=[], max_length=20)
    aggregate: list[Aggregate] = Field(default=[], max_length=20)
    lane: Lane | None = None
    environment: Name | None = None
    name: Name | None = None


class FollowFeed(Wishes):
    """As above; with `follow=false` it ends at the present, and with `to` there."""

    to: Past | None = None
    follow: bool = True
