"""What is sealed so that nobody can change the past unseen: the heads of organisations' chains, under one root.

The heads are the leaves of a Merkle tree, so that an organisation can be shown that its own is sealed without being
shown another's. `rollbook-verify` reads what is written here, and knows nothing of this file.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NOTHING = "0" * 64
LEAF, NODE = b"\0", b"\1"


@dataclass(frozen=True, slots=True)
class Head:
    """The last event of an organisation's chain: its sequence, its hash in hex, its position."""

    organisation: str
    sequence: int
    hash: str
    position: int

    def leaf(self) -> str:
        """As it is sealed."""
        told = {"organisation": self.organisation, "sequence": self.sequence, "hash": self.hash}
        return json.dumps({**told, "position": self.position}, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is signed. `previous` is the digest of the checkpoint before, `position` the end of the log then."""

    number: int
    previous: str
    store_id: str
    epoch: int
    position: int
    sealed_at: str
    heads: int
    root: str

    def text(self) -> str:
        """The very text whose bytes are signed, and whose digest the next one names."""
        members = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(members, ensure_ascii=False)


def digest(text: str) -> str:
    """The digest by which the next checkpoint names one."""
    return hashlib.sha256(text.encode()).hexdigest()


def hashed_leaf(leaf: str) -> bytes:
    """A leaf can never be taken for a node."""
    return hashlib.sha256(LEAF + leaf.encode()).digest()


def levels(leaves: Sequence[str]) -> list[list[bytes]]:
    """The tree from its leaves to its root; whoever stands alone at an end goes up as it is."""
    tree = [[hashed_leaf(leaf) for leaf in leaves]]
    while len(tree[-1]) > 1:
        below = tree[-1]
        pairs = [below[n : n + 2] for n in range(0, len(below), 2)]
        tree.append([hashlib.sha256(NODE + b"".join(pair)).digest() if len(pair) == 2 else pair[0] for pair in pairs])
    return tree


def root(leaves: Sequence[str]) -> str:
    """What stands for all leaves; of none it is nothing."""
    return levels(leaves)[-1][0].hex() if leaves else NOTHING


def paths(leaves: Sequence[str]) -> list[list[str]]:
    """From each leaf the way to the root: at each step the hash beside it, behind `<` when that stands to the left."""
    tree = levels(leaves)[:-1]
    return [
        [step for height, level in enumerate(tree) for step in beside(level, place >> height)]
        for place in range(len(leaves))
    ]


def beside(level: Sequence[bytes], place: int) -> list[str]:
    """The step that is taken at one level; none by whoever stands alone at its end."""
    other = place ^ 1
    return [("<" if other < place else ">") + level[other].hex()] if other < len(level) else []


def exported(text: str, signature: str, public_key: str, heads: Sequence[Mapping[str, Any]]) -> str:
    """A checkpoint as others get it: one line, with the heads (`leaf` and `path`) that they may see."""
    told = {"checkpoint": text, "signature": signature, "key": public_key, "heads": list(heads)}
    return json.dumps(told, ensure_ascii=False)
