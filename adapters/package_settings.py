"""What an operator may decide about packages: where their bytes lie, who signs them, how large they may be."""

import base64
import re
from typing import Annotated, Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.=-]+)*/?")
ADDRESS = re.compile(r"https?://([\w.-]+|\[[0-9a-fA-F:]+\])(:\d{1,5})?/?")
KEY_BYTES = 32
GIB = 1024**3


class PackageSettings(BaseSettings):
    """Without `blobs_url` the bytes of packages lie below DATA_DIR."""

    blobs_url: str | None = None
    blobs_endpoint: str | None = None
    blobs_region: str = Field(default="us-east-1", pattern=r"^[\w-]{1,64}$")
    blobs_access_key: SecretStr | None = None
    blobs_secret_key: SecretStr | None = None
    signing_key: SecretStr | None = None
    trusted_signing_keys: Annotated[frozenset[str], NoDecode] = frozenset()
    require_signed_packages: bool = False
    max_package_bytes: int = Field(default=100 * GIB, ge=1024)
    max_package_ratio: int = Field(default=200, ge=2, le=10_000)
    max_upload_bytes: int = Field(default=20 * GIB, ge=1024)
    upload_hours: int = Field(default=24, ge=1, le=8760)
    job_file_days: int = Field(default=7, ge=1, le=36_500)

    @field_validator("blobs_url")
    @classmethod
    def of_a_bucket(cls, value: str | None) -> str | None:
        """A bucket, and perhaps where in it."""
        if value is not None and not BUCKET.fullmatch(value):
            raise ValueError("must be the address of a bucket, such as s3://bucket/prefix")
        return value

    @field_validator("blobs_endpoint")
    @classmethod
    def of_http(cls, value: str | None) -> str | None:
        """Where the bucket's server answers, without a user in it."""
        if value is not None and not ADDRESS.fullmatch(value):
            raise ValueError("must be an address such as https://host:9000")
        return value

    @field_validator("trusted_signing_keys", mode="before")
    @classmethod
    def split_keys(cls, value: Any) -> Any:
        """Keys with commas between them."""
        return frozenset(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("trusted_signing_keys")
    @classmethod
    def of_public_keys(cls, value: frozenset[str]) -> frozenset[str]:
        """Keys that cannot be used are refused now, not at the first import."""
        if not all(map(is_ed25519, value)):
            raise ValueError(f"each must be the base64 of {KEY_BYTES} bytes")
        return value

    @field_validator("signing_key")
    @classmethod
    def of_a_private_key(cls, value: SecretStr | None) -> SecretStr | None:
        """A key that cannot sign is refused now."""
        if value is not None and not is_ed25519(value.get_secret_value()):
            raise ValueError(f"must be the base64 of {KEY_BYTES} bytes")
        return value


def is_ed25519(text: str) -> bool:
    """Whether the text is a raw Ed25519 key in base64."""
    try:
        return len(base64.b64decode(text, validate=True)) == KEY_BYTES
    except ValueError:
        return False
