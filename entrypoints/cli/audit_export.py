"""Takes an export out: line by line, in little memory, and from where it was cut off."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from entrypoints.cli.failures import Exit, Failure, misuse
from entrypoints.cli.following import progress
from entrypoints.cli.session import Session, part, query

EXPORTS = "/v1/audit/exports"
END = b'{"events":'
CUT_OFF, CUT_OFF_SECONDS = 5, 1.0


@dataclass(frozen=True, slots=True)
class Target:
    """A file, which gets its name when it is whole; which export is begun stands beside it."""

    path: Path

    @property
    def unfinished(self) -> Path:
        """What is there so far."""
        return self.path.with_name(f"{self.path.name}.part")

    @property
    def export(self) -> Path:
        """Which export that is."""
        return self.path.with_name(f"{self.path.name}.export")

    @property
    def is_begun(self) -> bool:
        """Whether there is something to go on with."""
        return self.export.exists()

    def begin(self, asked: Any) -> None:
        """Nothing is there yet."""
        try:
            self.unfinished.write_bytes(b"")
            self.export.write_text(json.dumps(asked))
        except OSError as fault:
            raise misuse(f"{self.path} cannot be written: {fault.strerror}") from None

    def asked(self) -> dict[str, Any]:
        """The export that was begun."""
        try:
            found = json.loads(self.export.read_text())
        except (OSError, ValueError) as fault:
            raise misuse(f"{self.export} does not tell which export was begun: {fault}") from None
        if not isinstance(found, dict) or not {"id", "from_position", "to_position"} <= found.keys():
            raise misuse(f"{self.export} does not tell which export was begun")
        return found

    def finish(self) -> None:
        """It is whole."""
        self.unfinished.replace(self.path)
        self.export.unlink()


@dataclass(slots=True)
class Reached:
    """How many events are there, and the position of the last one."""

    count: int
    position: int


def take_out(session: Session, target: Target) -> dict[str, Any]:
    """Fetches what is missing, and goes on where it is cut off; answers the export with how many events it has."""
    asked = target.asked()
    with target.unfinished.open("rb+") as file, progress(session.as_json) as advance:
        reached = kept(file, asked["from_position"])
        for _ in range(CUT_OFF):
            for line in lines(session, asked["id"], reached.position):
                if line.startswith(END):
                    file.write(json.dumps({"events": reached.count}).encode() + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                    target.finish()
                    return {**asked, "events": reached.count}
                file.write(line)
                reached.count, reached.position = reached.count + 1, position_of(line)
                advance("receiving", reached.position, asked["to_position"], f"{reached.count} events")
            time.sleep(CUT_OFF_SECONDS)
    raise Failure("The export was cut off again and again: go on with --resume", Exit.UNAVAILABLE, "CUT_OFF")


def kept(file: BinaryIO, position: int) -> Reached:
    """What is there of whole lines; half a line at the end goes."""
    reached, end = Reached(0, position), 0
    for line in file:
        if not line.endswith(b"\n"):
            break
        reached.count, reached.position = reached.count + 1, position_of(line)
        end += len(line)
    file.truncate(end)
    file.seek(end)
    return reached


def position_of(line: bytes) -> int:
    """Where an event stands."""
    try:
        return int(json.loads(line)["position"])
    except (ValueError, KeyError, TypeError):
        raise Failure("What came is no export of Rollbook's", Exit.UNAVAILABLE, "NOT_NDJSON") from None


def lines(session: Session, export_id: str, after: int) -> Iterator[bytes]:
    """Whole lines as they come, until there are no more or it is cut off."""
    from httpx2 import RequestError

    rest = b""
    with session.api.stream("GET", f"{EXPORTS}/{part(export_id)}/events", query(after=after)) as response:
        try:
            for chunk in response.iter_bytes():
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (line + b"\n" for line in whole)
        except RequestError:
            return
