"""Finds the embedded Postgres that another process of this machine keeps running."""

from pathlib import Path

from adapters.embedded.postgres import APP, DATABASE


def running_url(data_dir: Path) -> str | None:
    """Where the server on these data listens, for the working role; None when none runs.

    Raises PermissionError when the data are another user's.
    """
    port, secret = data_dir / "postgres.port", data_dir / "secrets" / APP
    if not (port.exists() and secret.exists() and (data_dir / "postgres" / "data" / "postmaster.pid").exists()):
        return None
    return f"postgresql://{APP}:{secret.read_text()}@127.0.0.1:{port.read_text()}/{DATABASE}"
