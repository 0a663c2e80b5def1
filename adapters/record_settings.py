"""What an operator may decide about the record: how the log is sealed, how its feed is read, where webhooks may go."""

from pydantic import Field
from pydantic_settings import BaseSettings


class RecordSettings(BaseSettings):
    """A checkpoint is sealed at the latest after `checkpoint_seconds` or `checkpoint_events`, whichever is first.
    `cdevents` is whether the log is also told in the words of CDEvents."""

    checkpoint_seconds: float = Field(default=60, gt=0, le=60)
    checkpoint_events: int = Field(default=1000, ge=1, le=1000)
    cdevents: bool = True
