"""The time by the clock of the log: that of this machine may be wrong, or be moved."""

from datetime import UTC, datetime, timedelta
from time import monotonic

# What it takes to ask, and to be answered; a clock that follows each of these would tremble.
TOLERANCE = timedelta(seconds=1)


class LogClock:
    """Goes on by itself from what was heard last; whoever asks the log for anything lets it hear the time."""

    def __init__(self) -> None:
        self.heard, self.at = datetime.now(UTC), monotonic()

    def now(self) -> datetime:
        """The time, to within the tolerance."""
        return self.heard + timedelta(seconds=monotonic() - self.at)

    def hear(self, time: datetime) -> None:
        """The log has just said this."""
        if abs(time - self.now()) > TOLERANCE:
            self.heard, self.at = time.astimezone(UTC), monotonic()
