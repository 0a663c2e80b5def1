"""Reads JSON of any length from a file, a value at a time, within limits of depth and size."""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson

from domain.errors import Invalid

BLOCK = 1 << 20
LONGEST_VALUE = 64 << 20
DEEPEST = 200
STRING = rb'"(?:[^"\\]++|\\.)*+"'
FLAT = rb"\{(?:[^{}\[\]\"]++|" + STRING + rb")*+\}"
# Most rows are objects without anything nested: many of them are found in one go.
ROW = re.compile(rb"[ \t\r\n]*+(" + FLAT + rb")[ \t\r\n]*+([,\]])", re.DOTALL)
TOKEN = re.compile(STRING + rb'|"|[{}\[\]]', re.DOTALL)
SCALAR = re.compile(rb"[^\s,\]}:{\[\"]+")
BLANK = re.compile(rb"[ \t\r\n]*")
OPENING, CLOSING = b"{[", b"}]"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class JsonReader:
    """Stands at a place in the file. Whoever is given a member or an element must read it, or pass over it."""

    def __init__(self, file: BinaryIO, offset: int = 0) -> None:
        self.file = file
        file.seek(offset)
        self.start = offset
        self.buffer = b""
        self.at = 0
        if offset == 0 and self.more() and self.buffer.startswith(BYTE_ORDER_MARK):
            self.at = len(BYTE_ORDER_MARK)

    @property
    def offset(self) -> int:
        """Where in the file this is."""
        return self.start + self.at

    def more(self) -> bool:
        """Reads on, and forgets what has been passed; False at the end of the file."""
        rest = self.buffer[self.at :]
        if len(rest) > LONGEST_VALUE:
            raise Invalid(f"A value at byte {self.offset} is longer than {LONGEST_VALUE} bytes")
        found = self.file.read(max(BLOCK, len(rest)))
        self.start, self.buffer, self.at = self.offset, rest + found, 0
        return bool(found)

    def peek(self) -> bytes:
        """The next byte that is not blank; nothing at the end."""
        while True:
            if blank := BLANK.match(self.buffer, self.at):
                self.at = blank.end()
            if self.at < len(self.buffer):
                return self.buffer[self.at : self.at + 1]
            if not self.more():
                return b""

    def take(self, wanted: bytes) -> bytes:
        """Passes over one byte, which must be one of these."""
        found = self.peek()
        if not found:
            raise Invalid("The file ends too early")
        if found not in wanted:
            raise Invalid(f"The file is not JSON: {found!r} at byte {self.offset} instead of {wanted.decode()!r}")
        self.at += 1
        return found

    def finish(self) -> None:
        """Nothing may follow."""
        if self.peek():
            raise Invalid(f"The file goes on after its end, at byte {self.offset}")

    def members(self) -> Iterator[str]:
        """The names of an object's members, each standing before its value."""
        self.take(b"{")
        if self.peek() == b"}":
            self.take(b"}")
            return
        seen, end = set[str](), b","
        while end == b",":
            key = self.value()
            if not isinstance(key, str) or key in seen:
                raise Invalid(f"{key!r:.100} stands twice, or where a name must be, before byte {self.offset}")
            seen.add(key)
            self.take(b":")
            yield key
            end = self.take(b",}")

    def elements(self) -> Iterator[int]:
        """Stands before each element of an array in turn, and counts them."""
        self.take(b"[")
        if self.peek() == b"]":
            self.take(b"]")
            return
        number, end = 0, b","
        while end == b",":
            yield number
            number, end = number + 1, self.take(b",]")

    def value(self) -> Any:
        """The next value."""
        where, text = self.offset, self.raw()
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError as problem:
            raise Invalid(f"The file is not JSON near byte {where}: {problem.msg}") from None

    def raw(self) -> bytes:
        """The text of the next value, as it stands there."""
        first = self.peek()
        if not first:
            raise Invalid("The file ends too early")
        while True:
            end = self.nested_end() if first in b'{["' else self.scalar_end()
            if end is not None:
                found = self.buffer[self.at : end]
                self.at = end
                return found
            if not self.more():
                raise Invalid("The file ends too early")

    def scalar_end(self) -> int | None:
        """Where a number, true, false or null ends; None when it is not all here."""
        found = SCALAR.match(self.buffer, self.at)
        if found is None:
            raise Invalid(f"The file is not JSON at byte {self.offset}")
        if found.end() == len(self.buffer) and self.more():
            return None
        return self.at + len(found[0])

    def nested_end(self) -> int | None:
        """Where a text, an object or an array ends; None when it is not all here."""
        depth = 0
        for token in TOKEN.finditer(self.buffer, self.at):
            word = token[0]
            if word == b'"':
                return None
            depth += (word in OPENING) - (word in CLOSING) if len(word) == 1 else 0
            if depth > DEEPEST:
                raise Invalid(f"The file is nested deeper than {DEEPEST} levels at byte {self.offset}")
            if depth == 0:
                return token.end()
        return None

    def rows(self) -> Iterator[list[bytes]]:
        """The texts of an array's elements, as many at a time as are here."""
        self.take(b"[")
        if self.peek() == b"]":
            self.take(b"]")
            return
        end = b","
        while end == b",":
            found = list[bytes]()
            while end == b"," and (row := ROW.match(self.buffer, self.at)):
                found.append(row[1])
                end, self.at = row[2], row.end()
            if found:
                yield found
            if end == b",":
                yield [self.raw()]
                end = self.take(b",]")

    def pass_over_rows(self) -> int:
        """Passes over an array; answers how many elements it has."""
        return sum(map(len, self.rows()))
