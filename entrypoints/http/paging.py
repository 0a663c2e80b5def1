"""Pages and moments of a list: cursors, links to what follows, bounds of time."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, urlencode

from adapters.postgres import conditions
from domain.errors import Invalid
from entrypoints.http.epochs import marked, unmarked
from entrypoints.http.routing import Call


async def created_between(call: Call, since: datetime | None, until: datetime | None) -> list[Any]:
    """Conditions on created_at, which grows with the position."""
    found = []
    # Nothing precedes year 1, from which no microsecond can be taken.
    if since and since.year > 1:
        before = await call.app.views.position_at(call.caller.organisation, since - timedelta(microseconds=1))
        found.append(conditions.beyond("created_position", before, True))
    if until:
        last = await call.app.views.position_at(call.caller.organisation, until)
        found.append(conditions.at_most("created_position", last))
    return found


def cursor_of(call: Call, cursor: str, more: int = 0) -> tuple[int, ...]:
    """The position that the first page showed, and where the last one ended; and so many numbers more."""
    if (plain := unmarked(call, cursor)) is None:
        raise Invalid("This cursor is not one of this epoch of the store: begin at the first page again")
    found = plain.split("-")
    of_ours = len(found) == 2 + more and len(cursor) <= 40 + 20 * more and cursor.isascii()
    if not (of_ours and all(one.isdigit() for one in found)):
        raise Invalid("This cursor is not one of ours")
    return tuple(map(int, found))


def cursor_to(call: Call, *numbers: int) -> str:
    """What a page that follows is asked for with."""
    return marked(call, "-".join(map(str, numbers)))


def next_link(call: Call, *numbers: int, instead: Mapping[str, str] = MappingProxyType({})) -> str:
    """The next page of the same list, as of the same position; `instead` replaces parameters that mean it anew."""
    given = [
        (n, v) for n, v in parse_qsl(call.query_string.decode("latin-1")) if n not in ("cursor", "as_of", *instead)
    ]
    cursor = cursor_to(call, *numbers)
    return f'<{call.path}?{urlencode([*given, *instead.items(), ("cursor", cursor)])}>; rel="next"'
