"""Builds the store of blobs that the settings name."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.store import S3Store

from adapters.blobs.store import Blobs, BucketBlobs, FolderBlobs
from adapters.package_settings import PackageSettings

if TYPE_CHECKING:
    from obstore.store import S3Config

PATIENCE = timedelta(seconds=30)


def blobs_of(settings: PackageSettings, data_dir: Path) -> Blobs:
    """A bucket when there is one, else a folder below DATA_DIR."""
    if settings.blobs_url is None:
        return FolderBlobs.below(data_dir / "blobs")
    return BucketBlobs(bucket(settings, settings.blobs_url), data_dir / "blobs" / "incoming")


def log_blobs_of(settings: PackageSettings, data_dir: Path) -> Blobs:
    """Where the logs of jobs lie: apart from packages, whose housekeeping knows nothing of them."""
    return apart(settings, data_dir, "job-logs")


def file_blobs_of(settings: PackageSettings, data_dir: Path) -> Blobs:
    """Where the files lie that jobs made: apart, as their age alone decides how long they are kept."""
    return apart(settings, data_dir, "job-files")


def apart(settings: PackageSettings, data_dir: Path, name: str) -> Blobs:
    """A store of its own, beside that of packages."""
    if settings.blobs_url is None:
        return FolderBlobs.below(data_dir / name)
    url = f"{settings.blobs_url.rstrip('/')}/{name}"
    return BucketBlobs(bucket(settings, url), data_dir / name / "incoming")


def bucket(settings: PackageSettings, url: str) -> S3Store:
    """The bucket; without keys, those of the machine's own role or environment are used."""
    name, _, prefix = url.removeprefix("s3://").strip("/").partition("/")
    config: S3Config = {"bucket": name, "region": settings.blobs_region}
    if settings.blobs_access_key and settings.blobs_secret_key:
        config["access_key_id"] = settings.blobs_access_key.get_secret_value()
        config["secret_access_key"] = settings.blobs_secret_key.get_secret_value()
    endpoint = (settings.blobs_endpoint or "").rstrip("/")
    if endpoint:
        config["endpoint"] = endpoint
    return S3Store(
        prefix=prefix or None,
        config=config,
        client_options={
            "timeout": PATIENCE,
            "connect_timeout": timedelta(seconds=5),
            "allow_http": endpoint.startswith("http:"),
        },
        retry_config={"max_retries": 4, "retry_timeout": PATIENCE},
    )
