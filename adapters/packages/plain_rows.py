"""Rows of plain texts as objects, without taking each apart: a third of the work for most of what tables hold."""

from collections.abc import Sequence
from operator import methodcaller

import orjson

from application.ports.databases import Lines

JOINT, ROWS = b'","', b'"]\n["'
BARE, QUOTED = b"%b", b'"%b"'


class PlainRows:
    """Knows the columns of a table: which hold integers, which true and false, and how long an integer may be."""

    def __init__(self, names: Sequence[str], wholes: Sequence[int], truths: Sequence[int], longest: int) -> None:
        self.names = [orjson.dumps(name).replace(b"%", b"%%") for name in names]
        self.wholes, self.truths, self.longest = wholes, truths, longest
        self.joints = {len(names) - 1}

    def objects(self, lines: Lines) -> bytes | None:
        """The rows as JSON, with commas between them; None when one of their values is null, or escaped."""
        text, width = b"\n".join(lines), len(self.names)
        if b"\\" in text or not self.is_plain(text, lines):
            return None
        values = text[2:-2].replace(ROWS, JOINT).split(JOINT)
        bare = {place for place in self.wholes if self.are_whole(values[place::width])}
        bare |= {place for place in self.truths if set(values[place::width]) <= {b"true", b"false"}}
        if len(bare) < len(self.wholes) + len(self.truths):
            return None
        members = (name + b":" + (BARE if n in bare else QUOTED) for n, name in enumerate(self.names))
        return b",".join([b"{" + b",".join(members) + b"}"] * len(lines)) % tuple(values)

    def is_plain(self, text: bytes, lines: Lines) -> bool:
        """Whether every quote begins or ends a text, and nothing but these and what divides them is there."""
        return (
            text.startswith(b'["')
            and text.endswith(b'"]')
            and text.count(b'"') == 2 * len(self.names) * len(lines)
            and text.count(ROWS) == len(lines) - 1
            and set(map(methodcaller("count", JOINT), lines)) == self.joints
        )

    def are_whole(self, values: Sequence[bytes]) -> bool:
        """Whether all are integers of so few digits, none below zero, as they are written."""
        together = b"," + b",".join(values)
        if together.translate(None, b"0123456789,") or together.count(b",") != len(values):
            return False
        return b",0" not in together and all(values) and max(map(len, values)) <= self.longest
