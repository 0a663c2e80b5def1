"""Writes files that the server sends, however large they are, with a progress bar for whoever looks."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from entrypoints.cli.failures import misuse
from entrypoints.cli.following import Advance, progress
from entrypoints.cli.output import note, print_json, safe
from entrypoints.cli.session import Session


def download(session: Session, method: str, path: str, output: Path | None, **sent: Any) -> None:
    """Fetches a file, and tells where it is then."""
    with session.api.stream(method, path, **sent) as response, progress(session.as_json) as advance:
        target = output or Path(name_of(response.headers.get("content-disposition", "")))
        with opened(target) as file:
            size = written(file, response.iter_bytes(), size_of(response.headers.get("content-length")), advance)
    told = {"file": str(target), "bytes": size}
    if str(target) != "-":
        print_json(told) if session.as_json else note(safe(f"{target}: {size} bytes"))


def name_of(disposition: str) -> str:
    """The file's own name, which says nothing about folders."""
    return Path(disposition.partition("filename=")[2].strip('"')).name or "package"


def size_of(told: str | None) -> int | None:
    """How many bytes there are, where the server knows."""
    return int(told) if told and told.isascii() and told.isdecimal() else None


@contextmanager
def opened(target: Path) -> Iterator[BinaryIO]:
    """The file, which gets its name when it is whole."""
    if str(target) == "-":
        yield sys.stdout.buffer
        return
    unfinished = target.with_name(f"{target.name}.part")
    try:
        with unfinished.open("wb") as file:
            yield file
        unfinished.replace(target)
    except OSError as fault:
        raise misuse(f"{target} cannot be written: {fault.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)


def written(file: BinaryIO, chunks: Iterator[bytes], total: int | None, advance: Advance) -> int:
    """Writes what comes; answers how many bytes that were."""
    size, of = 0, f" of {total >> 10}" if total else ""
    for chunk in chunks:
        file.write(chunk)
        size += len(chunk)
        advance("receiving", size, total, f"{size >> 10}{of} KiB")
    return size
