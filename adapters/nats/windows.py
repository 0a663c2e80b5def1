"""Cuts what is to be published into pieces that a server can hold unacknowledged."""

from collections.abc import Iterator, Sequence

from adapters.nats.cloudevents import Message

LARGEST_PIECE = 4 * 1024 * 1024


def pieces(messages: Sequence[Message], most_bytes: int = LARGEST_PIECE) -> Iterator[Sequence[Message]]:
    """The messages in order, in pieces of at most `most_bytes` (or of one message), cut between commits where one ends
    within the piece."""
    start = 0
    while start < len(messages):
        end = _end(messages, start, most_bytes)
        yield messages[start:end]
        start = end


def _end(messages: Sequence[Message], start: int, most_bytes: int) -> int:
    size, commit_end = 0, start
    for index in range(start, len(messages)):
        size += messages[index].size
        if size > most_bytes:
            return commit_end if commit_end > start else max(index, start + 1)
        if messages[index].position == messages[index].commit_position:
            commit_end = index + 1
    return len(messages)
