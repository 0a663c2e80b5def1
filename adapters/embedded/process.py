"""A child server: started as an ordinary user, watched, restarted when it dies, stopped in order."""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import SubprocessError
from typing import Any

import structlog

from adapters.embedded.user import is_root, ordinary_child, server_user

log = structlog.get_logger()
STOP_SECONDS = 10.0
RUN_SECONDS = 120.0
MAX_PAUSE = 5.0
REASONS = ("PANIC", "FATAL", "error:", "[FTL]")


class CannotStart(Exception):
    """A server of ours cannot start; the message is one line that says why."""


def is_free(port: int) -> bool:
    """Whether nobody listens on this port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def reason_in(text: str) -> str:
    """The line of a program's output that says best why it gave up."""
    lines = [line for line in text.splitlines() if line.strip()] or ["no reason given"]
    telling = [line[line.index(word) :] for line in lines for word in REASONS if word in line]
    return (telling or lines)[-1].strip()


def not_allowed() -> CannotStart:
    """The child could not become whom it should be."""
    return CannotStart(
        "As root, Rollbook runs its Postgres and NATS as an ordinary user, which this machine forbids: "
        "start it as an ordinary user, or set DATABASE_URL and NATS_URL"
        if is_root()
        else f"User {server_user()} has no name here, and Postgres needs one: give it an entry in /etc/passwd"
    )


async def run_once(*command: str, named: bool = False, **options: Any) -> None:
    """Runs a command to its end, under some user's name if it must be `named`; CannotStart says why it fails."""
    try:
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=ordinary_child(signal.SIGKILL, named),
            **options,
        )
    except SubprocessError:
        raise not_allowed() from None
    try:
        _, errors = await asyncio.wait_for(child.communicate(), RUN_SECONDS)
    except BaseException:
        await end(child, signal.SIGTERM)
        raise
    if child.returncode:
        raise CannotStart(f"{Path(command[0]).name}: {reason_in(errors.decode(errors='replace'))}")


async def end(child: asyncio.subprocess.Process, how: signal.Signals) -> None:
    """Asks a child to stop, and ends it after ten seconds."""
    with suppress(ProcessLookupError):
        child.send_signal(how)
        try:
            await asyncio.wait_for(child.wait(), STOP_SECONDS)
        except TimeoutError:
            child.kill()
            await child.wait()


class Child:
    """A server that is kept running until `stop`; it inherits `descriptors`, and `death_signal` ends it without us."""

    def __init__(self, name: str, command: list[str], log_path: Path, stop_signal: signal.Signals) -> None:
        self.name = name
        self.command = command
        self.log_path = log_path
        self.stop_signal = stop_signal
        self.death_signal = stop_signal
        self.descriptors: Sequence[int] = ()
        self.process: asyncio.subprocess.Process | None = None
        self.watcher: asyncio.Task[None] | None = None
        self.before_start: Callable[[], None] = lambda: None

    async def start(self, answers: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
        """Returns when the server answers; CannotStart when it ends, or does not answer in time."""
        said = self.log_path.stat().st_size if self.log_path.exists() else 0
        try:
            await self.spawn()
        except SubprocessError:
            raise not_allowed() from None
        except OSError as problem:
            raise CannotStart(f"{self.name} does not start: {problem}") from None
        if not await self.is_up(answers, seconds):
            await self.stop()
            raise CannotStart(f"{self.name} does not start: {self.reason_since(said)} (see {self.log_path})")
        self.watcher = asyncio.create_task(self.watch())

    async def is_up(self, answers: Callable[[], Awaitable[bool]], seconds: float) -> bool:
        """Whether it answers in time, without having ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.process is not None and self.process.returncode is None:
                    if await answers():
                        return True
                    await asyncio.sleep(0.02)
        return False

    def reason_since(self, position: int) -> str:
        """Why it gave up, by what it wrote to its log since."""
        with open(self.log_path, "rb") as file:
            file.seek(position)
            return reason_in(file.read(1_000_000).decode(errors="replace"))

    async def spawn(self) -> None:
        """Starts the server."""
        self.before_start()
        with open(self.log_path, "ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=self.descriptors,
                preexec_fn=ordinary_child(self.death_signal),
            )

    async def watch(self) -> None:
        """Starts it again when it dies, more and more slowly while that goes on."""
        pause = 0.05
        while self.process is not None:
            started = asyncio.get_running_loop().time()
            code = await self.process.wait()
            pause = 0.05 if asyncio.get_running_loop().time() - started > 30 else min(pause * 2, MAX_PAUSE)
            log.warning("child.died", name=self.name, code=code, again_in=pause)
            await asyncio.sleep(pause)
            await self.spawn_at_last(pause)

    async def spawn_at_last(self, pause: float) -> None:
        """Starts it again as soon as the machine allows: no memory, files or disk space may pass."""
        while True:
            try:
                return await self.spawn()
            except OSError as problem:
                pause = min(pause * 2, MAX_PAUSE)
                log.warning("child.not_started", name=self.name, reason=problem.strerror, again_in=pause)
                await asyncio.sleep(pause)

    async def stop(self) -> None:
        """Asks it to stop, and ends it after ten seconds."""
        if self.watcher is not None:
            self.watcher.cancel()
            await asyncio.gather(self.watcher, return_exceptions=True)
        if self.process is not None and self.process.returncode is None:
            await end(self.process, self.stop_signal)
