"""What an operator may decide about the record: how the log is sealed, how its feed is read, where webhooks may go."""

import shlex
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

from adapters.package_settings import KEY_BYTES, is_ed25519


class RecordSettings(BaseSettings):
    """A checkpoint is sealed at the latest after `checkpoint_seconds` or `checkpoint_events`, whichever is first,
    under `checkpoint_key` (else one of our own, in DATA_DIR), and goes to the end of `checkpoint_file` and to the
    standard input of `checkpoint_command`, which no shell ever sees.
    `cdevents` is whether the log is also told in the words of CDEvents. So many `feed_subscribers` a process lets read
    along; who hears nothing for `feed_heartbeat_seconds` is told how far the feed is, and who takes nothing for
    `feed_stall_seconds` is dropped."""

    checkpoint_seconds: float = Field(default=60, gt=0, le=60)
    checkpoint_events: int = Field(default=1000, ge=1, le=1000)
    checkpoint_key: SecretStr | None = None
    checkpoint_file: Path | None = None
    checkpoint_command: Annotated[tuple[str, ...], NoDecode] = ()
    cdevents: bool = True
    feed_subscribers: int = Field(default=4000, ge=1, le=100_000)
    feed_subscribers_per_organisation: int = Field(default=2000, ge=1, le=100_000)
    feed_heartbeat_seconds: float = Field(default=15, ge=0.1, le=300)
    feed_stall_seconds: float = Field(default=30, ge=0.1, le=600)

    @field_validator("checkpoint_key")
    @classmethod
    def of_a_sealing_key(cls, value: SecretStr | None) -> SecretStr | None:
        """A key that cannot seal is refused now."""
        if value is not None and not is_ed25519(value.get_secret_value()):
            raise ValueError(f"must be the base64 of {KEY_BYTES} bytes")
        return value

    @field_validator("checkpoint_command", mode="before")
    @classmethod
    def of_words(cls, value: Any) -> Any:
        """A program and its arguments, with spaces between them; quotes keep words together."""
        return tuple(shlex.split(value)) if isinstance(value, str) else value
