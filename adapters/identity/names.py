"""Which texts may stand as names of organisations and people."""

import unicodedata

MAX_NAME = 100

# Control, surrogate, unassigned and private characters, and line and paragraph separators.
_UNPRINTED = frozenset({"Cc", "Cs", "Cn", "Co", "Zl", "Zp"})


def is_plain(text: str) -> bool:
    """Whether every character can be stored and shown."""
    return text.isascii() and text.isprintable() or not any(unicodedata.category(each) in _UNPRINTED for each in text)


def is_name(text: str) -> bool:
    """Whether the text may name an organisation: 1 to 100 plain characters, no space around them."""
    return 1 <= len(text) <= MAX_NAME and text == text.strip() and is_plain(text)
