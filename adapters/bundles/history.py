"""Reads the events of a bundle for deciding its span again: whole streams of all that the span touches."""

from collections.abc import Iterator
from datetime import datetime

import orjson

from adapters.bundles.loading import checked
from adapters.bundles.manifest import BundleRefused
from adapters.bundles.reading import Bundle
from adapters.exported_events import Told, of_the_domain, sealed

NONE = (KeyError, TypeError, ValueError, AttributeError)


def told(bundle: Bundle) -> Iterator[Told]:
    """Each event, whose hash was checked, with that of the domain which it holds."""
    for line in checked(bundle):
        called = f"The event at position {line['position']}"
        try:
            recorded = sealed(line, orjson.loads(line["envelope"]))
        except NONE:
            raise BundleRefused(f"{called} is none of a log") from None
        yield recorded, of_the_domain(called, recorded)


def moments(bundle: Bundle) -> Iterator[tuple[int, datetime]]:
    """When each commit ended, whoever's."""
    for line in bundle.lines("timeline.ndjson"):
        try:
            yield int(line["position"]), datetime.fromisoformat(line["recorded_at"])
        except NONE:
            raise BundleRefused("timeline.ndjson has a line without a position and a moment") from None
