"""Finds the embedded Postgres that another process of this machine keeps running."""

from pathlib import Path

from adapters.embedded.postgres import APP, DATABASE


def running_url(data_dir: Path, role: str = APP) -> str | None:
    """Where the server on these data listens, for the working role or another; None when none runs.

    Raises PermissionError when the data are another user's.
    """
    port, secret = data_dir / "postgres.port", data_dir / "secrets" / role
    if not (port.exists() and secret.exists() and (data_dir / "postgres" / "data" / "postmaster.pid").exists()):
        return None
    return f"postgresql://{role}:{secret.read_text()}@127.0.0.1:{port.read_text()}/{DATABASE}"
