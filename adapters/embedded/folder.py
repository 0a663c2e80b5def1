"""DATA_DIR: held by one copy at a time, with a password, a port and a folder for each server."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapters.embedded.process import CannotStart, free_port, is_free
from adapters.embedded.user import NOBODY, is_root


class Folder:
    """DATA_DIR, held by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.lock: Any = None

    def hold(self, name: str) -> None:
        """Makes the folder and locks it; CannotStart when another copy runs on it, or it cannot be written."""
        with refusals_in_words(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self.lock = open(self.path / f"{name}.lock", "w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.lock.close()
            raise CannotStart(f"Another copy of Rollbook runs on {self.path}") from None

    def release(self) -> None:
        """Lets another copy have it."""
        if self.lock is not None:
            self.lock.close()

    def secret(self, name: str) -> str:
        """A password of our own, made once, that nobody else can read."""
        path = self.path / "secrets" / name
        if path.exists() and path.stat().st_size:
            return path.read_text()
        with refusals_in_words(self.path):
            path.parent.mkdir(exist_ok=True, mode=0o700)
            new = path.with_name(f"{name}.new")
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(24))
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        return path.read_text()

    def port(self, name: str, wanted: int | None) -> int:
        """The port that was asked for, else the last one if it is free, else any."""
        if wanted:
            return wanted
        path = self.path / f"{name}.port"
        noted = path.read_text() if path.exists() else ""
        last = int(noted) if noted.isdecimal() else 0
        port = last if last and is_free(last) else free_port()
        with refusals_in_words(self.path):
            path.write_text(str(port))
        return port

    def own(self, name: str) -> Path:
        """A folder for a server, which belongs to the user that the server runs as."""
        path = self.path / name
        with refusals_in_words(self.path):
            path.mkdir(exist_ok=True, mode=0o700)
            if is_root():
                for one in [*path.rglob("*"), path] if path.stat().st_uid != NOBODY else []:
                    os.chown(one, NOBODY, NOBODY, follow_symlinks=False)
        return path


@contextmanager
def refusals_in_words(path: Path) -> Iterator[None]:
    """A disk that is full, read-only or not ours is said in one line."""
    try:
        yield
    except OSError as problem:
        raise CannotStart(f"DATA_DIR {path} cannot be written: {problem.strerror}") from None


class Door:
    """How a server reaches its folder: as root through a descriptor, since what lies above may be closed to nobody."""

    def __init__(self, folder: Path) -> None:
        self.descriptors = (os.open(folder, os.O_PATH | os.O_DIRECTORY),) if is_root() else ()
        self.path = f"/proc/self/fd/{self.descriptors[0]}" if self.descriptors else str(folder)

    def close(self) -> None:
        """Servers that run keep theirs."""
        for one in self.descriptors:
            os.close(one)
        self.descriptors = ()
