"""Puts packaged rows into a target's temporary tables: many a statement; one that is refused is sought by halves."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import cast

import orjson

from adapters.databases.mysql.quoting import BYTES, SHAPES, family, literal, written
from adapters.databases.mysql.redeploying import begun
from adapters.databases.mysql.session import Refused, Session
from adapters.databases.mysql.staging import Stage
from application.ports.databases import Contents, Lines, Report
from domain.dataset import Column
from domain.errors import Invalid

STATEMENT_BYTES = 1 << 19
Row = tuple[int, list[str | None]]


class Loading:
    """Loads one stage of a package. With `is_lenient`, rows that the target's types refuse are only marked."""

    def __init__(self, session: Session, stage: Stage, package: str, is_lenient: bool) -> None:
        self.session = session
        self.stage = stage
        self.package = package
        self.is_lenient = is_lenient
        self.keys = stage.source_key
        self.columns = stage.columns
        self.is_plain = [
            column.name in stage.moving or not (family(column) in BYTES | SHAPES or family(column) == "bit")
            for column in self.columns
        ]
        self.is_all_plain = all(self.is_plain)
        self.begun = blake2b(orjson.dumps([package, stage.name]), digest_size=16)

    async def run(self, contents: Contents, report: Report) -> None:
        """Loads everything."""
        told = self.stage.rows = 0
        self.stage.fingerprint = begun(self.stage)
        async for lines in contents.rows(self.stage.name):
            self.stage.fingerprint.update(b"\n".join(lines) + b"\n")
            await self.load(lines)
            report(self.stage.name, self.stage.rows // 2 - told)
            told = self.stage.rows // 2
        await self.session.execute(f"analyze table {self.stage.temporary}")

    async def load(self, lines: Lines) -> None:
        """Loads a batch, about half a megabyte a statement."""
        held: list[tuple[Row, str]] = []
        size = 0
        for line in lines:
            self.stage.rows += 1
            row = self.row(line)
            held.append((row, await self.value(row, b"\\" in line or b"'" in line)))
            size += len(held[-1][1])
            if size > STATEMENT_BYTES:
                await self.insert(held)
                held, size = [], 0
        await self.insert(held)

    def row(self, line: bytes) -> Row:
        """A row out of its line; Invalid when it is none."""
        try:
            values = orjson.loads(line)
        except orjson.JSONDecodeError:
            raise Invalid(f"A row of {self.stage.name} is not JSON") from None
        width = len(self.is_plain)
        if not isinstance(values, list) or len(values) != width:
            raise Invalid(f"A row of {self.stage.name} does not have {width} values")
        return self.stage.rows, values

    async def value(self, row: Row, is_odd: bool) -> str:
        """A row as the INSERT has it; nothing for one that was marked instead."""
        try:
            return f"({row[0]}, {self.source(row)}, null, {self.written(row[1], is_odd)})"
        except Invalid as problem:
            await self.fail(row, problem.message)
            return ""

    def written(self, values: Sequence[str | None], is_odd: bool) -> str:
        """The values of a row. In one without quotes and escapes nothing needs any, which makes most rows cheap."""
        if not is_odd and self.is_all_plain and None not in values:
            try:
                return "'" + "', '".join(cast(Sequence[str], values)) + "'"
            except TypeError:
                pass
        return ", ".join(map(self.quoted, values, self.is_plain, self.columns))

    def quoted(self, value: str | None, is_plain: bool, column: Column) -> str:
        """One value."""
        if value is None:
            return "null"
        if not isinstance(value, str):
            raise Invalid(f"A value of a package is {type(value).__name__}, not a text")
        return literal(value) if is_plain else written(column, value)

    def source(self, row: Row) -> str:
        """The key of a row in the source and what lineage finds it by; a row without key is nobody's."""
        if not self.keys:
            return "null, null"
        key = orjson.dumps([row[1][place] for place in self.keys])
        found = self.begun.copy()
        found.update(key)
        return f"{literal(key.decode())}, x'{found.hexdigest()}'"

    async def insert(self, held: list[tuple[Row, str]]) -> None:
        """Inserts rows; halves that are refused are tried apart."""
        values = [text for _, text in held if text]
        if not values:
            return
        try:
            await self.session.execute(f"insert into {self.target(range(len(self.is_plain)))} {', '.join(values)}")
        except Refused as problem:
            if len(values) == 1:
                row = next(row for row, text in held if text)
                return await self.fail(row, self.in_words(problem.message))
            middle = len(held) // 2
            await self.insert(held[:middle])
            await self.insert(held[middle:])

    def target(self, places: Sequence[int]) -> str:
        """Where rows go in."""
        names = ", ".join(["line", "source_key", "source_hash", "failed", *(f"v{place}" for place in places)])
        return f"{self.stage.temporary} ({names}) values"

    async def fail(self, row: Row, reason: str) -> None:
        """Marks a row that cannot be in the target, so that those that refer to it are found."""
        if not self.is_lenient:
            raise Invalid(f"A row of {self.stage.name} does not fit the target: {reason}")
        self.stage.count_refused(reason)
        kept = [place for place, column in enumerate(self.columns) if column.name in self.stage.moving]
        texts = ["null" if (value := row[1][place]) is None else literal(value) for place in kept]
        values = ", ".join([str(row[0]), self.source(row), literal(reason), *texts])
        await self.session.execute(f"insert into {self.target(kept)} ({values})")

    def in_words(self, message: str) -> str:
        """What the server says, with the columns' own names."""
        for place, column in reversed(list(enumerate(self.columns))):
            message = message.replace(f"'v{place}'", f"'{column.name}'").replace(f"`v{place}`", f"'{column.name}'")
        return message.replace(f"`{self.stage.temporary}`", f"'{self.stage.name}'")
