"""Where checkpoints go so that whoever changes the log cannot change them too: a file, and any command."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

COMMAND_SECONDS = 30.0
BLOCK = 64 * 1024


class ExportFailed(Exception):
    """Why a checkpoint did not get there, in a few words that hold no secret."""


class CheckpointExport(Protocol):
    """One place that checkpoints go to. `kind` names it in metrics, `name` tells it from all others."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...

    async def tell(self, line: str) -> None:
        """Hands over one checkpoint; raises ExportFailed. It may be told again what it was told before."""
        ...

    async def close(self) -> None:
        """Lets go of whatever it holds."""
        ...


@dataclass(frozen=True, slots=True)
class FileExport:
    """Adds each checkpoint to the end of a file, and is done when it is on disk."""

    path: Path

    kind = "file"

    @property
    def name(self) -> str:
        """Each file has its own progress."""
        return f"file {self.path}"

    async def tell(self, line: str) -> None:
        """See CheckpointExport."""
        try:
            await asyncio.to_thread(append_line, self.path, line)
        except OSError as problem:
            raise ExportFailed(f"{type(problem).__name__}: {problem.strerror}") from None

    async def close(self) -> None:
        """Nothing is kept open."""


@dataclass(frozen=True, slots=True)
class CommandExport:
    """Starts a program for each checkpoint, which gets it on its standard input; 0 is success. No shell is involved."""

    command: Sequence[str]
    environment: Mapping[str, str]
    seconds: float = COMMAND_SECONDS

    kind = "command"

    @property
    def name(self) -> str:
        """Each command has its own progress."""
        return f"command {' '.join(self.command)}"

    async def tell(self, line: str) -> None:
        """See CheckpointExport."""
        pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        try:
            started = await asyncio.create_subprocess_exec(
                *self.command, stdin=pipe, stdout=nothing, stderr=nothing, env=dict(self.environment)
            )
        except OSError as problem:
            raise ExportFailed(f"{type(problem).__name__}: {problem.strerror}") from None
        try:
            async with asyncio.timeout(self.seconds):
                await started.communicate(f"{line}\n".encode())
        except TimeoutError:
            raise ExportFailed(f"it did not end within {self.seconds:g} s") from None
        finally:
            await end(started)
        if started.returncode:
            raise ExportFailed(f"it ended with {started.returncode}")

    async def close(self) -> None:
        """Nothing is kept open."""


async def end(started: asyncio.subprocess.Process) -> None:
    """Whatever has not ended by itself is ended."""
    if started.returncode is None:
        with suppress(ProcessLookupError):
            started.kill()
        await started.wait()


def append_line(path: Path, line: str) -> None:
    """Adds a line; what a crash left of one before, which nobody was told is there, goes."""
    with open(path, "ab+") as file:
        file.truncate(end_of_lines(file.fileno()))
        file.write(f"{line}\n".encode())
        file.flush()
        os.fsync(file.fileno())


def end_of_lines(file: int) -> int:
    """Where the last whole line ends."""
    end = os.fstat(file).st_size
    while end:
        first = max(0, end - BLOCK)
        if (found := os.pread(file, end - first, first).rfind(b"\n")) >= 0:
            return first + found + 1
        end = first
    return 0
