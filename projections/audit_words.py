"""Any event of the log in a few words."""

from typing import Any

from projections.history import WORDS, summary

# What is said behind the name of the event, of those members that it has.
TOLD = ("name", "title", "handler", "environment", "role", "from", "reason", "error", "kind", "why")
LONGEST = 200


def event_in_words(topic: str, data: dict[str, Any]) -> str:
    """What happened; an event without words of its own is told by its name and what it is about."""
    if topic in WORDS:
        return summary(topic, data)
    facts = {**data.get("freeze", {}), **data}
    about = [facts[name] for name in TOLD if isinstance(facts.get(name), str) and facts[name]]
    return ": ".join([named(topic), *([", ".join(about)[:LONGEST]] if about else [])])


def named(topic: str) -> str:
    """The name of an event as words: `data_deployment.rolled_back` is `Data deployment rolled back`."""
    return topic.replace(".", " ").replace("_", " ").capitalize()


def topics_that_say(text: str, topics: frozenset[str]) -> list[str]:
    """The kinds of events in whose fixed words a text stands, whatever they are about."""
    return sorted(t for t in topics if text.lower() in f"{WORDS.get(t, named(t))}\n{t}".lower())
