"""Which texts may stand as names of organisations and people, and which can be kept at all."""

import unicodedata

MAX_NAME = 100

# Control, format (which hide or reorder their neighbours), surrogate and private characters, and line separators.
_UNSHOWN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def is_storable(text: str) -> bool:
    """Whether the text can be written as UTF-8 into a database that knows no NUL."""
    return "\x00" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


def is_name(text: str) -> bool:
    """Whether the text may be a name: 1 to 100 characters that can all be shown, no space around them."""
    if not 1 <= len(text) <= MAX_NAME or text != text.strip():
        return False
    return not any(unicodedata.category(each) in _UNSHOWN for each in text)
