"""Follows a Rollbook's events into a database of your own: each takes effect once, whatever fails meanwhile."""

from rollbook_subscriber.checkpoint import Overtaken
from rollbook_subscriber.reading import EpochChanged, Event, Refused
from rollbook_subscriber.subscriber import Subscriber

__all__ = ["EpochChanged", "Event", "Overtaken", "Refused", "Subscriber"]
