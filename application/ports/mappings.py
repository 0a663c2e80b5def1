"""Which keys of a package became which in a target, and where that is kept."""

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from application.ports.databases import Lines, Target

LinesOf = Callable[[str], AsyncGenerator[Lines, None]]


@runtime_checkable
class KeyLines(Protocol):
    """What a target has beside `keys` when its server writes lines: far cheaper where nobody looks at single keys."""

    def key_lines(self, deployment_id: str) -> AbstractAsyncContextManager[LinesOf]:
        """Tells the whole mapping of each table that it is asked for, one at a time; a line is an array of source keys
        and one of their target keys, very many at a time."""
        ...


class Mappings(Protocol):
    """Keeps which keys of a package became which in a target, for when the target has forgotten."""

    async def keep(self, target: Target, deployment_id: str, tables: Iterable[str]) -> str:
        """Reads the whole mapping of these tables as a stream and keeps it: all or nothing. Answers its digest."""
        ...

    def pairs(self, digest: str, table: str) -> AsyncGenerator[Sequence[tuple[str, str]], None]:
        """The mapping of a table in batches, in the order in which the target told it; NotFound when it is gone."""
        ...
