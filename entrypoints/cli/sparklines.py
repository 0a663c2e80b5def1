"""Numbers in a row as one line of blocks, for people; in ASCII where the terminal speaks nothing else."""

import sys
from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
NOTHING = "·"
PLAIN_BLOCKS = "_.:-=+*#"
PLAIN_NOTHING = " "


def sparkline(values: Sequence[float | None]) -> str:
    """Each value between zero and the largest; what is None is a dot, or a space."""
    blocks, nothing = (BLOCKS, NOTHING) if speaks(BLOCKS + NOTHING) else (PLAIN_BLOCKS, PLAIN_NOTHING)
    largest = max((value for value in values if value is not None), default=0) or 1
    return "".join(
        nothing if v is None else blocks[min(int(v / largest * len(blocks)), len(blocks) - 1)] for v in values
    )


def speaks(text: str) -> bool:
    """Whether what is printed can hold this."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
