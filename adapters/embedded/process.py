"""A child server: started as an ordinary user, watched, restarted when it dies, stopped in order."""

import asyncio
import ctypes
import fcntl
import os
import secrets
import shutil
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger()
NOBODY = 65534
PR_SET_PDEATHSIG = 1
STOP_SECONDS = 10.0
MAX_PAUSE = 5.0


class CannotStart(Exception):
    """A server of ours cannot start; the message is one line that says why."""


class Folder:
    """DATA_DIR, held by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.lock: Any = None

    def hold(self, name: str) -> None:
        """Makes the folder and locks it; CannotStart when another copy runs on it."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.lock = open(self.path / f"{name}.lock", "w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.lock.close()
            raise CannotStart(f"Another copy of Rollbook runs on {self.path}") from None

    def release(self) -> None:
        """Lets another copy have it."""
        if self.lock is not None:
            self.lock.close()

    def secret(self, name: str) -> str:
        """A password of our own, made once, that nobody else can read."""
        folder = self.path / "secrets"
        folder.mkdir(exist_ok=True, mode=0o700)
        path = folder / name
        if not path.exists() or not path.stat().st_size:
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
        path.write_text(str(port))
        return port

    def own(self, name: str) -> Path:
        """A folder for a server, which belongs to the user that the server runs as."""
        path = self.path / name
        path.mkdir(exist_ok=True, mode=0o700)
        if os.geteuid() == 0:
            refuse_closed_parents(path)
            for one in [*path.rglob("*"), path] if path.stat().st_uid != NOBODY else []:
                os.chown(one, NOBODY, NOBODY, follow_symlinks=False)
        return path


def refuse_closed_parents(path: Path) -> None:
    """As root, servers run as an ordinary user, who must be able to come here; no mode is changed for that."""
    for parent in path.parents:
        if not parent.stat().st_mode & 0o001 and parent.stat().st_uid != NOBODY:
            raise CannotStart(f"{parent} is closed to ordinary users: choose another DATA_DIR, or do not start as root")


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


def ordinary_child(death_signal: int = signal.SIGKILL) -> Callable[[], None]:
    """For a child: as root it becomes nobody; on Linux it gets `death_signal` when we are gone, however that came.

    Ctrl-C reaches the whole process group: children leave it to us, who stop them in order.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if death_signal != signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    return prepare


@contextmanager
def closed_program_refused(program: str) -> Iterator[None]:
    """As root, servers run as an ordinary user, who must be able to come to their programs too."""
    try:
        yield
    except PermissionError:
        raise CannotStart(f"{program} is closed to ordinary users: install Rollbook where they may go") from None


async def run_once(*command: str, **options: Any) -> None:
    """Runs a command to its end; CannotStart with its last line when it fails."""
    with closed_program_refused(command[0]):
        child = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=ordinary_child(),
            **options,
        )
    _, errors = await asyncio.wait_for(child.communicate(), 120)
    if child.returncode:
        lines = errors.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise CannotStart(f"{Path(command[0]).name}: {lines[-1]}")


class Child:
    """A server that is kept running until `stop`."""

    def __init__(self, name: str, command: list[str], log_path: Path, stop_signal: signal.Signals) -> None:
        self.name = name
        self.command = command
        self.log_path = log_path
        self.stop_signal = stop_signal
        self.process: asyncio.subprocess.Process | None = None
        self.watcher: asyncio.Task[None] | None = None
        self.before_start: Callable[[], None] = lambda: None

    async def start(self, answers: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
        """Returns when the server answers; CannotStart when it ends, or does not answer in time."""
        if shutil.which(self.command[0]) is None:
            raise CannotStart(f"{self.command[0]} is not there or may not be run")
        with closed_program_refused(self.command[0]):
            await self.spawn()
        self.watcher = asyncio.create_task(self.watch())
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not await answers():
                    if self.process is not None and self.process.returncode is not None:
                        break
                    await asyncio.sleep(0.02)
                else:
                    return
        await self.stop()
        raise CannotStart(f"{self.name} does not start: see {self.log_path}")

    async def spawn(self) -> None:
        """Starts the server in our process group."""
        self.before_start()
        with open(self.log_path, "ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=ordinary_child(self.stop_signal),
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
        if self.process is None or self.process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            self.process.send_signal(self.stop_signal)
            try:
                await asyncio.wait_for(self.process.wait(), STOP_SECONDS)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
