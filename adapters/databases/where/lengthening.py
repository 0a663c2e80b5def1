"""Calls that make long texts of short ones: a few words of them must not fill a server's memory."""

from typing import Any

from sqlglot import exp

from adapters.databases.where.writing import Pieces, Text, Writer, joined, shown
from domain.errors import Invalid

LONGEST_PAD = 1000


def pad(writer: Writer, node: Any) -> Pieces:
    """LPAD and RPAD, to a number of characters that is told."""
    length = node.expression
    if not isinstance(length, exp.Literal) or not length.this.isdecimal() or int(length.this) > LONGEST_PAD:
        raise Invalid(f"{shown(node)} must be padded to a number of at most {LONGEST_PAD} characters")
    name = "lpad" if node.args.get("is_left") else "rpad"
    filled = writer.write(node.args["fill_pattern"]) if node.args.get("fill_pattern") else (Text(" "),)
    return (f"{name}(", *writer.write(node.this), f", {length.this}, ", *filled, ")")


def replacement(writer: Writer, node: Any) -> Pieces:
    """REPLACE; of several in each other only the innermost may lengthen."""
    members = [one for one in (node.this, node.expression, node.args.get("replacement")) if one is not None]
    if any(one.find(exp.Replace, exp.Pad) for one in members) and not is_short(*members[1:]):
        raise Invalid(f"{shown(node)} may only put a text in the place of a longer one, as there is another inside")
    return ("replace(", *joined(", ", [writer.write(one) for one in members]), ")")


def is_short(old: Any, new: Any = None) -> bool:
    """Whether one text, as it stands there, is no longer than the other."""
    return isinstance(old, exp.Literal) and isinstance(new, exp.Literal) and len(new.this) <= len(old.this)
