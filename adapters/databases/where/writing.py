"""Writes a tree anew: what no rule names is refused, texts and columns stay apart from our own SQL."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from domain.errors import Invalid

NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")
SHOWN = 60


@dataclass(frozen=True, slots=True)
class Text:
    """A text of the caller, to be quoted by the database's own driver."""

    value: str


@dataclass(frozen=True, slots=True)
class Name:
    """A column of the table, in the words of the catalog."""

    column: str


Piece = str | Text | Name
Pieces = tuple[Piece, ...]
Rule = Callable[["Writer", Any], Pieces]


@dataclass(frozen=True, slots=True)
class Words:
    """How one kind of database says things: a rule for each kind of node, with the members that it takes care of."""

    kind: str
    rules: Mapping[type[exp.Expr], tuple[Rule, frozenset[str]]]
    calls: Mapping[str, str]
    folds_case: bool


class Writer:
    """Writes for one table of one kind of database. `columns` are the table's own, by the names of the catalog."""

    def __init__(self, words: Words, table: str, columns: frozenset[str]) -> None:
        self.words = words
        self.table = table
        self.columns = columns
        self.by_lower = {column.lower(): column for column in columns}

    def write(self, node: Any) -> Pieces:
        """The pieces of a node, in brackets where it is more than a word; Invalid names what is not allowed."""
        rule, members = self.words.rules.get(type(node), (None, frozenset()))
        if rule is None:
            raise Invalid(f"{shown(node)} is not allowed in a where clause{self.for_kind()}")
        if unknown := [n for n, value in node.args.items() if value and n not in members and n not in IGNORED]:
            raise Invalid(f"{shown(node)} is not allowed in a where clause ({unknown[0]}){self.for_kind()}")
        return rule(self, node)

    def for_kind(self) -> str:
        """Which database a refusal is about."""
        return f" for {self.words.kind}"

    def column(self, node: exp.Column) -> Pieces:
        """A column of the table, perhaps behind the table's name."""
        name = node.this
        if not isinstance(name, exp.Identifier) or (node.table and node.table.lower() != self.table.lower()):
            raise Invalid(f"{shown(node)} is not a column of {self.table}")
        return (Name(self.found(name)),)

    def found(self, name: exp.Identifier) -> str:
        """The catalog's name for it: as it is when it is quoted, else in small letters or whatever its case."""
        wanted = str(name.this)
        if name.args.get("quoted"):
            found = wanted
        else:
            found = wanted.lower() if self.words.folds_case else self.by_lower.get(wanted.lower(), wanted)
        if found not in self.columns:
            raise Invalid(f"'{wanted[:SHOWN]}' is not a column of {self.table}")
        return found


# What the parser notes for itself and means nothing more than the node does.
IGNORED = frozenset({"typed", "safe", "coalesce", "only_json_types", "ignore_nulls", "nested", "value_constructor"})


def shown(node: Any) -> str:
    """The caller's words for a node, in quotes."""
    text = node.name if isinstance(node, exp.Anonymous | exp.Column) else node.sql(dialect="postgres")
    return f"'{text[:SHOWN]}'"


def joined(word: str, parts: Iterator[Pieces] | list[Pieces]) -> Pieces:
    """Parts with a word between them."""
    found: list[Piece] = []
    for number, part in enumerate(parts):
        found += [word] if number else []
        found += part
    return tuple(found)


def bracketed(*pieces: Piece) -> Pieces:
    """In brackets, so that no precedence matters."""
    return ("(", *pieces, ")")


def number(node: exp.Literal) -> str:
    """A number as it was written, which is nothing but a number."""
    text = str(node.this)
    if not NUMBER.fullmatch(text):
        raise Invalid(f"'{text[:SHOWN]}' is not a number")
    return text
