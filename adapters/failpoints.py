"""Named places at which the crash suite has a process die as if the machine had lost power."""

import os
import signal

VARIABLE = "ROLLBOOK_FAILPOINT"


class Failpoints:
    """Armed by `name` or `name:n`; an empty text arms nothing. A count that is no positive number is a ValueError."""

    def __init__(self, armed: str) -> None:
        self._name, _, count = armed.partition(":")
        self._left = int(count or 1)
        if self._left < 1:
            raise ValueError(f"{VARIABLE} counts from 1")

    def hit(self, name: str) -> None:
        """Kills this process with SIGKILL at the n-th hit of the armed name; does nothing at all others."""
        if name != self._name:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


failpoint = Failpoints(os.environ.get(VARIABLE, "")).hit
