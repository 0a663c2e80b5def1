"""How much room the disk under the embedded servers has: a Postgres that cannot grow its log dies of it."""

import os
from pathlib import Path

# Four segments of Postgres's log: what projectors, checkpoints and the feed still write when no command is taken.
RESERVE_BYTES = 64 * 1024 * 1024


class Room:
    """The disk under a folder; full when less than `reserve` bytes are left, so that the servers live through it."""

    def __init__(self, folder: Path, reserve: int = RESERVE_BYTES) -> None:
        self.folder = folder
        self.reserve = reserve

    def is_full(self) -> bool:
        """Whether nothing more may be taken on; of a folder that is not there, nothing is known."""
        try:
            disk = os.statvfs(self.folder)
        except FileNotFoundError:
            return False
        return disk.f_bavail * disk.f_frsize < self.reserve
