"""About how many rows a source will give, so that whoever waits for them knows how long that takes."""

from collections.abc import Awaitable, Callable

QUICKLY_COUNTED = 100_000


async def about(guess: int, count: Callable[[], Awaitable[int]]) -> int:
    """The server's own guess for many rows; few are counted, as guesses about small tables are wild."""
    return guess if guess > QUICKLY_COUNTED else await count()
