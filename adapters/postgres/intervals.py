"""Files row versions so that those valid at one position are found by equality in a B-tree, however many there are.

Think of all positions as the leaves and forks of one fixed binary tree. A version is filed at the highest fork between
its first position and its last; what is valid at a position is filed on the way from the root to it. Each fork on the
way holds no more rows than were valid at one moment. Equality also passes row-level security, which keeps operators of
ranges out of indexes.
"""

from projections.read_model import STILL

LEVELS = STILL.bit_length()


def fork_of(from_position: int, to_position: int) -> int:
    """Where a version is filed that is valid from one position up to, not including, another (1 <= from < to)."""
    last = to_position - 1
    level = ((from_position - 1) ^ last).bit_length() - 1
    return last >> level << level


def forks_at(position: int) -> list[int]:
    """Where everything is filed that is valid at a position."""
    return [(position >> level + 1 << level + 1) | 1 << level for level in range(LEVELS)]
