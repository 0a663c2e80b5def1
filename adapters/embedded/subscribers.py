"""The subscribers of the feed on this machine's own nats-server: a file in DATA_DIR that only its user can read."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
from pydantic import TypeAdapter

from adapters.embedded.folder import refusals_in_words
from adapters.nats.subscribers import Subscriber

FILE = "subscribers.json"
FIELDS = ("organisation", "name", "secret")
MEMBERS = TypeAdapter(tuple[Subscriber, ...])
# Passwords are 192 random bits: nobody guesses them, however quickly one is tried.
ROUNDS = 8


def subscribers_of(data_dir: Path) -> tuple[Subscriber, ...]:
    """Everybody whom this machine's server lets in."""
    path = data_dir / FILE
    return MEMBERS.validate_json(path.read_bytes()) if path.exists() else ()


@contextmanager
def changing_subscribers(data_dir: Path) -> Iterator[dict[tuple[str, str], Subscriber]]:
    """Everybody by organisation and name, to be changed; nobody else changes them meanwhile."""
    with refusals_in_words(data_dir), open(data_dir / "subscribers.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        members = {(one.organisation, one.name): one for one in subscribers_of(data_dir)}
        yield members
        keep(data_dir / FILE, orjson.dumps([{n: getattr(one, n) for n in FIELDS} for one in members.values()]))


def keep(path: Path, content: bytes) -> None:
    """Replaces the file at once."""
    new = path.with_name(f"{path.name}.new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def new_password() -> tuple[str, str]:
    """A password, and what is kept of it."""
    import bcrypt

    password = secrets.token_urlsafe(24)
    return password, bcrypt.hashpw(password.encode(), bcrypt.gensalt(ROUNDS)).decode()
