"""Every setting, in one place: from the environment, `.env`, or a folder of secrets."""

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit, urlunsplit

import structlog
from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from application.caller import Role

log = structlog.get_logger()
MASK = "********"


class SettingsError(Exception):
    """A setting is wrong; the message is one line that says which and why."""


class OidcIssuer(BaseModel):
    """Another OIDC issuer whose tokens are believed, and the claims that tell what we need."""

    issuer: str
    audience: str
    jwks_uri: str | None = None
    organisation_claim: str = "repository_owner"
    repository_claim: str = "repository"
    workflow_claim: str = "workflow"
    actor_claim: str = "actor"
    owner_id_claim: str | None = None
    role: Role = Role.DEPLOYER


class Settings(BaseSettings):
    """What an operator may decide. Unset URLs mean servers of our own, under `data_dir`."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", secrets_dir=os.environ.get("SECRETS_DIR"))

    auth_enabled: bool = True
    github_oidc_issuer: str = "https://token.actions.githubusercontent.com"
    github_oidc_audience: str = "deployment-queue-api"
    github_api_url: str = "https://api.github.com"
    github_api_version: str = "2022-11-28"
    oidc_issuers: list[OidcIssuer] = []
    allowed_organisations: Annotated[frozenset[str], NoDecode] = frozenset()
    dev_organisation: str = Field(default="local-dev", min_length=1, max_length=100)
    default_environment: str | None = None
    jwks_cache_ttl: int = Field(default=3600, ge=1)
    org_membership_cache_ttl: int = Field(default=300, ge=0)
    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8000, ge=0, le=65535)
    management_host: str = "127.0.0.1"
    management_port: int = Field(default=9090, ge=0, le=65535)
    allow_unauthenticated_network: bool = False
    data_dir: Path = Path("data")
    database_url: SecretStr | None = None
    database_owner_url: SecretStr | None = None
    nats_url: SecretStr | None = None
    master_key: SecretStr | None = None
    pool_size: int = Field(default=8, ge=1, le=100)
    read_wait_ms: int = Field(default=2000, ge=0, le=60_000)
    max_body_bytes: int = Field(default=2 * 1024 * 1024, ge=1024)
    max_json_depth: int = Field(default=32, ge=4, le=200)
    request_timeout_seconds: float = Field(default=30, gt=0, le=600)
    rate_limit_per_minute: int = Field(default=0, ge=0)
    rate_limit_address_per_minute: int = Field(default=0, ge=0)
    drain_seconds: int = Field(default=10, ge=1, le=300)
    projection_batch: int = Field(default=1000, ge=1, le=10_000)
    relay_window: int = Field(default=256, ge=1, le=10_000)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    otel_exporter_otlp_endpoint: str | None = None

    @field_validator("allowed_organisations", mode="before")
    @classmethod
    def split(cls, value: Any) -> Any:
        """Names with commas between them."""
        if isinstance(value, str):
            return frozenset(part.strip().lower() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def refuse_open_doors(self) -> Self:
        """Without authentication the API answers to this machine only, unless that is asked for twice."""
        if not self.auth_enabled and not self.allow_unauthenticated_network and not is_loopback(self.api_host):
            raise ValueError(
                f"AUTH_ENABLED=false on {self.api_host} would let anybody in: set ALLOW_UNAUTHENTICATED_NETWORK=true to allow it"
            )
        return self


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def load_settings() -> Settings:
    """The settings in force; SettingsError when one is wrong."""
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"]).upper()
        message = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{name}: {message}" if name else message) from None
    except Exception as error:
        raise SettingsError(str(error).splitlines()[0]) from None
    if any(name.startswith("SNOWFLAKE_") for name in os.environ):
        log.warning("settings.ignored", settings="SNOWFLAKE_*", reason="Rollbook keeps its data in Postgres")
    return settings


def settings_with_origin(settings: Settings) -> list[tuple[str, str, str]]:
    """Name, value (secrets masked) and origin of each setting."""
    return [
        (name.upper(), shown(getattr(settings, name)), origin_of(name, settings))
        for name in type(settings).model_fields
    ]


def shown(value: Any) -> str:
    """A value that may be printed."""
    if isinstance(value, SecretStr):
        return without_password(value.get_secret_value())
    if isinstance(value, frozenset):
        return ",".join(sorted(value))
    return "" if value is None else str(value)


def without_password(secret: str) -> str:
    """A URL without its password; any other secret is masked whole."""
    parts = urlsplit(secret)
    if not parts.scheme or not parts.hostname:
        return MASK
    address = parts.hostname + (f":{parts.port}" if parts.port else "")
    user = f"{parts.username}:{MASK}@" if parts.username else ""
    return urlunsplit((parts.scheme, user + address, parts.path, "", ""))


def origin_of(name: str, settings: Settings) -> str:
    """Where a setting's value comes from."""
    if name not in settings.model_fields_set:
        return "default"
    if name.upper() in os.environ or name in os.environ:
        return "environment"
    folder = os.environ.get("SECRETS_DIR")
    return "secrets" if folder and (Path(folder) / name).is_file() else ".env"
