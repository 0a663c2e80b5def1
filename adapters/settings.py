"""Every setting, in one place: from the environment, `.env`, or a folder of secrets."""

import base64
import os
import re
import sys
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import structlog
from dotenv import dotenv_values
from pydantic import (
    DirectoryPath,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode, SettingsConfigDict

from adapters.environment_settings import EnvironmentSettings
from adapters.issuer_settings import OidcIssuer, of_the_web
from adapters.package_settings import PackageSettings
from adapters.record_settings import RecordSettings
from adapters.webhook_settings import WebhookSettings

log = structlog.get_logger()
DOTENV = ".env"
NATS_URL = re.compile(r"(nats|tls|ws|wss)://([^\s,@]+@)?([\w.-]+|\[[0-9a-fA-F:]+\])(:\d{1,5})?/?")


class SettingsError(Exception):
    """A setting is wrong; the message is one line that says which and why."""


class Settings(PackageSettings, RecordSettings, WebhookSettings, EnvironmentSettings):
    """What an operator may decide. Unset URLs mean servers of our own, under `data_dir`."""

    model_config = SettingsConfigDict(env_file=DOTENV, env_ignore_empty=True, extra="ignore")

    auth_enabled: bool = True
    github_oidc_issuer: str = "https://token.actions.githubusercontent.com"
    github_oidc_audience: str = "deployment-queue-api"
    github_api_url: str = "https://api.github.com"
    github_api_version: str = "2022-11-28"
    oidc_issuers: list[OidcIssuer] = []
    allowed_organisations: Annotated[frozenset[str], NoDecode] = frozenset()
    dev_organisation: str = Field(default="local-dev", min_length=1, max_length=100)
    default_environment: str | None = Field(default=None, max_length=100)
    jwks_cache_ttl: int = Field(default=3600, ge=1, le=604_800)
    org_membership_cache_ttl: int = Field(default=300, ge=0, le=86_400)
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
    max_body_bytes: int = Field(default=2 * 1024 * 1024, ge=1024, le=1024**3)
    max_head_bytes: int = Field(default=65_536, ge=4096, le=1024**2)
    max_json_depth: int = Field(default=32, ge=4, le=200)
    request_timeout_seconds: float = Field(default=30, gt=0, le=600)
    rate_limit_per_minute: int = Field(default=0, ge=0, le=10_000_000)
    rate_limit_address_per_minute: int = Field(default=0, ge=0, le=10_000_000)
    lease_seconds: int = Field(default=60, ge=5, le=3600)
    drain_seconds: int = Field(default=10, ge=1, le=300)
    projection_batch: int = Field(default=1000, ge=1, le=10_000)
    relay_window: int = Field(default=256, ge=1, le=10_000)
    worker_concurrency: int = Field(default=10, ge=1, le=1000)
    job_log_days: int = Field(default=90, ge=1, le=36_500)
    keep_old_read_models_seconds: int = Field(default=3600, ge=10, le=31_536_000)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = Field(default_factory=lambda: "console" if sys.stderr.isatty() else "json")
    otel_exporter_otlp_endpoint: str | None = None
    prometheus_multiproc_dir: DirectoryPath | None = None

    @field_validator("allowed_organisations", mode="before")
    @classmethod
    def split(cls, value: Any) -> Any:
        """Names with commas between them."""
        if isinstance(value, str):
            return frozenset(part.strip().lower() for part in value.split(",") if part.strip())
        return value

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def lower(cls, value: Any) -> Any:
        """Case says nothing here."""
        return value.lower() if isinstance(value, str) else value

    @field_validator("master_key")
    @classmethod
    def of_32_bytes(cls, value: SecretStr | None) -> SecretStr | None:
        """A key that cannot be used is refused now, not at the first login."""
        if value is not None and not is_key(value.get_secret_value()):
            raise ValueError("must be the base64 of 32 bytes")
        return value

    @field_validator("database_url", "database_owner_url")
    @classmethod
    def of_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        """An address that nothing can be reached under is refused now, without repeating it."""
        if value is not None and not is_conninfo(value.get_secret_value()):
            raise ValueError("is not the address of a Postgres server")
        return value

    @field_validator("nats_url")
    @classmethod
    def of_nats(cls, value: SecretStr | None) -> SecretStr | None:
        """One or several, with commas between them."""
        if value is not None and not all(map(NATS_URL.fullmatch, value.get_secret_value().split(","))):
            raise ValueError("is not the address of a NATS server, such as nats://host:4222")
        return value

    @field_validator("github_oidc_issuer", "github_api_url", "otel_exporter_otlp_endpoint")
    @classmethod
    def of_the_web(cls, value: str | None) -> str | None:
        """An address that nothing can be asked under is refused now, not at the first request."""
        return value if value is None else of_the_web(value)

    @model_validator(mode="after")
    def refuse_open_doors(self) -> Self:
        """Without authentication the API answers to this machine only, unless that is asked for twice."""
        if not self.auth_enabled and not self.allow_unauthenticated_network and not is_loopback(self.api_host):
            raise ValueError(
                f"AUTH_ENABLED=false on API_HOST={self.api_host} would let anybody in: "
                "set ALLOW_UNAUTHENTICATED_NETWORK=true to allow it"
            )
        return self


def is_conninfo(text: str) -> bool:
    """Whether Postgres's own library understands the address."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        return bool(conninfo_to_dict(text))
    except ProgrammingError:
        return False


def is_key(text: str) -> bool:
    """Whether the text is a 256-bit key in base64."""
    try:
        return len(base64.b64decode(text, validate=True)) == 32
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def load_settings() -> Settings:
    """The settings in force; SettingsError when one is wrong."""
    folder = secrets_folder()
    try:
        settings = Settings(_secrets_dir=folder)  # type: ignore[call-arg]
    except ValidationError as error:
        raise SettingsError(explained(error)) from None
    except (OSError, ValueError) as error:
        raise SettingsError(" ".join(f"The settings cannot be read: {error}".split())) from None
    if any(name.upper().startswith("SNOWFLAKE_") for name in [*os.environ, *in_dotenv()]):
        warn_of_snowflake()
    return settings


def secrets_folder() -> Path | None:
    """The folder that SECRETS_DIR names, one file a setting."""
    folder = os.environ.get("SECRETS_DIR")
    if folder and not Path(folder).is_dir():
        raise SettingsError(f"SECRETS_DIR: {folder} is not a folder")
    return Path(folder) if folder else None


def explained(error: ValidationError) -> str:
    """The first fault on one line, without the value, which may be secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    name, *inside = (str(part) for part in first["loc"] or ("",))
    place = ".".join([name.upper(), *inside])
    message = " ".join(first["msg"].removeprefix("Value error, ").split())
    return f"{place}: {message}" if place else message


@cache
def warn_of_snowflake() -> None:
    """Says once that the settings of the original's database mean nothing here."""
    log.warning(
        "settings.ignored",
        settings="SNOWFLAKE_*",
        reason="Rollbook keeps its data in Postgres",
    )


def in_dotenv() -> dict[str, str | None]:
    """What `.env` sets, as it stands there."""
    return dotenv_values(DOTENV) if Path(DOTENV).is_file() else {}
