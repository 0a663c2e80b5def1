"""A disk of its own that a test fills up and clears again."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

MEGABYTE = 1024 * 1024
DISK_MEGABYTES = 400


class Disk:
    """A file system in memory, mounted on a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ballast = folder / "ballast"

    def free(self) -> int:
        """Bytes that are left."""
        facts = os.statvfs(self.folder)
        return facts.f_bavail * facts.f_frsize

    def fill(self, leave_megabytes: int) -> None:
        """Takes all but so many megabytes, and all there is where others are quicker."""
        with open(self.ballast, "wb", buffering=0) as file, suppress(OSError):
            while (more := self.free() - leave_megabytes * MEGABYTE) > 0:
                file.write(bytes(min(more, MEGABYTE)))

    def clear(self) -> None:
        """Gives it back."""
        self.ballast.unlink()


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """Mounts it, which only root may: for others the test is skipped."""
    options = f"size={DISK_MEGABYTES}m,mode=711"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "rollbook", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"the disk that this test fills is mounted for it, which only root may: {mounted.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
