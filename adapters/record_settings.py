"""What an operator may decide about the record: how the log is sealed, how its feed is read, where webhooks may go."""

from pydantic import Field
from pydantic_settings import BaseSettings


class RecordSettings(BaseSettings):
    """A checkpoint is sealed at the latest after `checkpoint_seconds` or `checkpoint_events`, whichever is first.
    `cdevents` is whether the log is also told in the words of CDEvents. So many `feed_subscribers` a process lets read
    along; who hears nothing for `feed_heartbeat_seconds` is told how far the feed is, and who takes nothing for
    `feed_stall_seconds` is dropped."""

    checkpoint_seconds: float = Field(default=60, gt=0, le=60)
    checkpoint_events: int = Field(default=1000, ge=1, le=1000)
    cdevents: bool = True
    feed_subscribers: int = Field(default=4000, ge=1, le=100_000)
    feed_subscribers_per_organisation: int = Field(default=2000, ge=1, le=100_000)
    feed_heartbeat_seconds: float = Field(default=15, ge=0.1, le=300)
    feed_stall_seconds: float = Field(default=30, ge=0.1, le=600)
