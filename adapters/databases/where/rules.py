"""The rules that hold for every SQL database: operators, conditions, calls."""

from collections.abc import Mapping
from typing import Any

from sqlglot import exp

from adapters.databases.where.lengthening import pad, replacement
from adapters.databases.where.writing import Pieces, Rule, Text, Writer, bracketed, joined, number, shown
from domain.errors import Invalid

Rules = dict[type[exp.Expr], tuple[Rule, frozenset[str]]]
OPERATORS: Mapping[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.And: "and",
    exp.Or: "or",
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
}
PERIODS = ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND", "DOW", "DOY", "EPOCH", "ISODOW")


def infix(word: str) -> Rule:
    """An operator between two operands."""

    def rule(writer: Writer, node: Any) -> Pieces:
        return bracketed(*writer.write(node.this), f" {word} ", *writer.write(node.expression))

    return rule


def negatable(word: str) -> Rule:
    """An operator that may have a NOT in front."""

    def rule(writer: Writer, node: Any) -> Pieces:
        said = f" not {word} " if node.args.get("negate") else f" {word} "
        return bracketed(*writer.write(node.this), said, *writer.write(node.expression))

    return rule


def call(name: str, *members: str) -> tuple[Rule, frozenset[str]]:
    """A call whose arguments are these members, as far as they are there; lists of them at the end."""

    def rule(writer: Writer, node: Any) -> Pieces:
        return (f"{name}(", *joined(", ", [writer.write(one) for one in arguments(node, members)]), ")")

    return rule, frozenset(members)


def arguments(node: Any, members: tuple[str, ...]) -> list[Any]:
    """The arguments in order."""
    found: list[Any] = []
    for member in members:
        value = node.args.get(member)
        found += value if isinstance(value, list) else [] if value is None else [value]
    return found


def literal(writer: Writer, node: Any) -> Pieces:
    """A text or a number."""
    return (Text(str(node.this)),) if node.is_string else (number(node),)


def text(writer: Writer, node: Any) -> Pieces:
    """A text in one of the other kinds of quotes, which the parser has taken off."""
    return (Text(str(node.this)),)


def truth(writer: Writer, node: Any) -> Pieces:
    """True or false."""
    return ("true" if node.this else "false",)


def null(writer: Writer, node: Any) -> Pieces:
    """Null."""
    return ("null",)


def negation(writer: Writer, node: Any) -> Pieces:
    """Not."""
    return bracketed("not ", *writer.write(node.this))


def minus(writer: Writer, node: Any) -> Pieces:
    """A minus in front; the space keeps two of them from beginning a comment."""
    return bracketed("- ", *writer.write(node.this))


def inside(writer: Writer, node: Any) -> Pieces:
    """Brackets of the caller's: every operator has its own."""
    return writer.write(node.this)


def column(writer: Writer, node: Any) -> Pieces:
    """A column."""
    return writer.column(node)


def is_what(writer: Writer, node: Any) -> Pieces:
    """IS NULL, IS TRUE, IS FALSE, and what they are not."""
    if not isinstance(node.expression, exp.Null | exp.Boolean):
        raise Invalid(f"{shown(node)} is not allowed in a where clause")
    word = " is not " if node.args.get("negate") else " is "
    return bracketed(*writer.write(node.this), word, *writer.write(node.expression))


def between(writer: Writer, node: Any) -> Pieces:
    """BETWEEN."""
    low, high = writer.write(node.args["low"]), writer.write(node.args["high"])
    return bracketed(*writer.write(node.this), " between ", *low, " and ", *high)


def one_of(writer: Writer, node: Any) -> Pieces:
    """IN with a list."""
    values = joined(", ", [writer.write(one) for one in node.expressions])
    return bracketed(*writer.write(node.this), " in (", *values, ")")


def escape(writer: Writer, node: Any) -> Pieces:
    """LIKE with an escape character of the caller's."""
    if not isinstance(node.this, exp.Like | exp.ILike | exp.SimilarTo) or not isinstance(node.expression, exp.Literal):
        raise Invalid(f"{shown(node)} is not allowed in a where clause")
    like = writer.write(node.this)
    return (*like[:-1], " escape ", Text(str(node.expression.this)), ")")


def case(writer: Writer, node: Any) -> Pieces:
    """CASE, with or without an operand."""
    pieces: Pieces = ("(case ", *(writer.write(node.this) if node.this else ()))
    for one in node.args["ifs"]:
        pieces += (" when ", *writer.write(one.this), " then ", *writer.write(one.args["true"]))
    if default := node.args.get("default"):
        pieces += (" else ", *writer.write(default))
    return (*pieces, " end)")


def row(writer: Writer, node: Any) -> Pieces:
    """A row of values."""
    return bracketed(*joined(", ", [writer.write(one) for one in node.expressions]))


def extract(writer: Writer, node: Any) -> Pieces:
    """EXTRACT of a period that is known."""
    return (f"extract({period(node.this)} from ", *writer.write(node.expression), ")")


def period(node: Any) -> str:
    """The name of a period, from a list."""
    name = str(node.name).upper()
    name = name.removesuffix("S") if name.removesuffix("S") in PERIODS else name
    if name not in PERIODS:
        raise Invalid(f"'{name[:20]}' is not a period of time that a where clause may name")
    return name.lower()


def by_name(writer: Writer, node: Any) -> Pieces:
    """A call of a function that the parser does not know: only those on the list."""
    name = str(node.this).lower()
    if name not in writer.words.calls:
        raise Invalid(f"'{name[:60]}' is not a function that a where clause may call{writer.for_kind()}")
    values = joined(", ", [writer.write(one) for one in node.expressions])
    return (f"{writer.words.calls[name]}(", *values, ")")


def now(word: str) -> Rule:
    """The present, in the database's words."""
    return lambda writer, node: (word,)


def trim(writer: Writer, node: Any) -> Pieces:
    """TRIM of one end or both, of blanks or of something else."""
    end = str(node.args.get("position") or "BOTH").lower()
    if end not in ("both", "leading", "trailing"):
        raise Invalid(f"{shown(node)} is not allowed in a where clause")
    what = writer.write(node.expression) if node.args.get("expression") else (Text(" "),)
    return (f"trim({end} ", *what, " from ", *writer.write(node.this), ")")


EVERYWHERE: Rules = {
    **{node: (infix(word), frozenset({"this", "expression"})) for node, word in OPERATORS.items()},
    exp.Like: (negatable("like"), frozenset({"this", "expression", "negate"})),
    exp.Escape: (escape, frozenset({"this", "expression"})),
    exp.Is: (is_what, frozenset({"this", "expression", "negate"})),
    exp.Between: (between, frozenset({"this", "low", "high"})),
    exp.In: (one_of, frozenset({"this", "expressions"})),
    exp.Not: (negation, frozenset({"this"})),
    exp.Neg: (minus, frozenset({"this"})),
    exp.Paren: (inside, frozenset({"this"})),
    exp.Column: (column, frozenset({"this", "table"})),
    exp.Literal: (literal, frozenset({"this", "is_string"})),
    exp.RawString: (text, frozenset({"this"})),
    exp.ByteString: (text, frozenset({"this"})),
    exp.Boolean: (truth, frozenset({"this"})),
    exp.Null: (null, frozenset()),
    exp.Case: (case, frozenset({"this", "ifs", "default"})),
    exp.Tuple: (row, frozenset({"expressions"})),
    exp.Extract: (extract, frozenset({"this", "expression"})),
    exp.Anonymous: (by_name, frozenset({"this", "expressions"})),
    exp.Trim: (trim, frozenset({"this", "expression", "position"})),
    exp.Pad: (pad, frozenset({"this", "expression", "fill_pattern", "is_left"})),
    exp.CurrentDate: (now("current_date"), frozenset()),
    exp.CurrentTimestamp: (now("current_timestamp"), frozenset()),
    exp.Localtimestamp: (now("localtimestamp"), frozenset()),
    exp.Lower: call("lower", "this"),
    exp.Upper: call("upper", "this"),
    exp.Length: call("char_length", "this"),
    exp.Left: call("left", "this", "expression"),
    exp.Right: call("right", "this", "expression"),
    exp.Replace: (replacement, frozenset({"this", "expression", "replacement"})),
    exp.Reverse: call("reverse", "this"),
    exp.Concat: call("concat", "expressions"),
    exp.Substring: call("substring", "this", "start", "length"),
    exp.Ascii: call("ascii", "this"),
    exp.MD5: call("md5", "this"),
    exp.Abs: call("abs", "this"),
    exp.Ceil: call("ceil", "this"),
    exp.Floor: call("floor", "this"),
    exp.Round: call("round", "this", "decimals"),
    exp.Pow: call("power", "this", "expression"),
    exp.Sqrt: call("sqrt", "this"),
    exp.Sign: call("sign", "this"),
    exp.Exp: call("exp", "this"),
    exp.Ln: call("ln", "this"),
    exp.Greatest: call("greatest", "this", "expressions"),
    exp.Least: call("least", "this", "expressions"),
    exp.Coalesce: call("coalesce", "this", "expressions"),
    exp.Nullif: call("nullif", "this", "expression"),
}
