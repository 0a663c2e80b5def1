"""Finds secrets by their references, and none that are somebody else's."""

import os
import stat
from pathlib import Path
from urllib.parse import quote

from adapters.settings import in_dotenv
from domain.environment import check_reference

MOST_BYTES = 8192


def own_secret(folder: Path | None, organisation: str, reference: str) -> str:
    """The secret behind a reference of an organisation's; ValueError when it is not there."""
    check_reference(organisation, reference)
    scheme, _, name = reference.partition(":")
    return of_variable(name) if scheme == "env" else of_file(own_file(folder, organisation, name))


def own_file(folder: Path | None, organisation: str, name: str) -> Path:
    """Where a file of an organisation's lies; a link in its folder that leads out of it is not followed."""
    if folder is None:
        raise ValueError("ENVIRONMENT_SECRETS_DIR is not set, so that file: names nothing")
    if organisation.startswith("."):
        raise ValueError("the secrets of this organisation cannot lie in files")
    own = (folder / quote(organisation, safe="")).resolve()
    path = (own / name).resolve()
    if not path.is_relative_to(own):
        raise ValueError(f"{name} leads out of the organisation's folder")
    return path


def any_secret(beside: Path, value: str) -> str:
    """What the operator's own file means; a path is relative to the folder that the file is in."""
    scheme, found, name = value.partition(":")
    if found and scheme == "env":
        return of_variable(name)
    if found and scheme == "file":
        return of_file(beside / name)
    return value


def of_variable(name: str) -> str:
    """A variable of the environment, else of `.env`."""
    value = os.environ.get(name) or in_dotenv().get(name)
    if not value:
        raise ValueError(f"the variable {name} is not set")
    return value.strip()


def of_file(path: Path) -> str:
    """The text in an ordinary file, without space around it."""
    try:
        # Opening a pipe must not wait for somebody who writes.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError(f"{path.name} is not a file")
            text = file.read(MOST_BYTES + 1)
    except (OSError, UnicodeError) as fault:
        raise ValueError(f"the file {path.name} cannot be read ({type(fault).__name__})") from None
    if not text.strip() or len(text) > MOST_BYTES:
        raise ValueError(f"the file {path.name} is empty, or larger than {MOST_BYTES} bytes")
    return text.decode(errors="replace").strip()
