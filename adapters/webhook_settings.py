"""What an operator may decide about webhooks: where they may go, how many at once, and for how long they are tried."""

from typing import Annotated, Any

from pydantic import Field, IPvAnyNetwork, field_validator
from pydantic_settings import BaseSettings, NoDecode


class WebhookSettings(BaseSettings):
    """`webhook_allowed_networks` are what may be reached beside public addresses, there also without TLS. A delivery is
    tried again for `webhook_retry_hours`, and kept for `webhook_keep_days` after its end; a webhook to which nothing
    was delivered for `webhook_pause_days` is paused."""

    webhook_allowed_networks: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = ()
    webhook_concurrency: int = Field(default=16, ge=1, le=1000)
    webhook_timeout_seconds: float = Field(default=10, ge=0.5, le=20)
    webhook_retry_hours: float = Field(default=24, ge=0, le=720)
    webhook_pause_days: float = Field(default=3, gt=0, le=365)
    webhook_keep_days: float = Field(default=7, gt=0, le=3650)

    @field_validator("webhook_allowed_networks", mode="before")
    @classmethod
    def of_networks(cls, value: Any) -> Any:
        """Networks such as 10.1.0.0/16, with commas between them."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value
