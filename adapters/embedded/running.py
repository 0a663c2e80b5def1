"""Finds the embedded servers that another process of this machine keeps running."""

from pathlib import Path

from adapters.embedded.nats import USER
from adapters.embedded.postgres import APP, DATABASE


def running_url(data_dir: Path, role: str = APP) -> str | None:
    """Where the server on these data listens, for the working role or another; None when none runs.

    Raises PermissionError when the data are another user's.
    """
    port, secret = data_dir / "postgres.port", data_dir / "secrets" / role
    if not (port.exists() and secret.exists() and (data_dir / "postgres" / "data" / "postmaster.pid").exists()):
        return None
    return f"postgresql://{role}:{secret.read_text()}@127.0.0.1:{port.read_text()}/{DATABASE}"


def running_nats_url(data_dir: Path) -> str | None:
    """Where the nats-server on these data listens, or did, for whom everything is allowed; None when none ever ran.

    Raises PermissionError when the data are another user's.
    """
    port, secret = data_dir / "nats.port", data_dir / "secrets" / "nats"
    if not (port.exists() and secret.exists()):
        return None
    return f"nats://{USER}:{secret.read_text()}@127.0.0.1:{port.read_text()}"
