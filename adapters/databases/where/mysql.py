"""The where clause in the words of MySQL and MariaDB; what they lack is refused by its name."""

from typing import Any

from sqlglot import exp

from adapters.databases.where.parsing import parse
from adapters.databases.where.rules import EVERYWHERE, Rules, call, infix, period
from adapters.databases.where.writing import Piece, Pieces, Text, Words, Writer, bracketed, joined, number, shown
from domain.errors import Invalid

TYPES = {
    "SMALLINT": "signed",
    "INT": "signed",
    "BIGINT": "signed",
    "DECIMAL": "decimal",
    "DOUBLE": "double",
    "TEXT": "char",
    "VARCHAR": "char",
    "CHAR": "char",
    "DATE": "date",
    "TIME": "time",
    "TIMESTAMP": "datetime",
}
SIZED = ("DECIMAL", "VARCHAR", "CHAR", "TIME", "TIMESTAMP")
CALLS = {"octet_length": "octet_length"}
DAY_NAMES = {"dow": "(dayofweek({}) - 1)", "doy": "dayofyear({})", "epoch": "unix_timestamp({})", "isodow": ""}


def cast(writer: Writer, node: Any) -> Pieces:
    """A cast to a type on the list."""
    kind = getattr(node.to.this, "name", "") if isinstance(node.to, exp.DataType) else ""
    sizes = list(node.to.expressions) if kind else []
    if kind not in TYPES or (sizes and kind not in SIZED):
        raise Invalid(f"{shown(node.to)} is not a type that a where clause may cast to{writer.for_kind()}")
    size = ", ".join(number(one.this) for one in sizes)
    return ("cast(", *writer.write(node.this), f" as {TYPES[kind]}({size}))" if size else f" as {TYPES[kind]})")


def null_safe(writer: Writer, node: Any) -> Pieces:
    """IS NOT DISTINCT FROM."""
    return bracketed(*writer.write(node.this), " <=> ", *writer.write(node.expression))


def null_safe_not(writer: Writer, node: Any) -> Pieces:
    """IS DISTINCT FROM."""
    return bracketed("not ", *null_safe(writer, node))


def either_case(writer: Writer, node: Any) -> Pieces:
    """ILIKE, in a collation that knows no case."""
    word = ") not like lower(" if node.args.get("negate") else ") like lower("
    return bracketed("lower(", *writer.write(node.this), word, *writer.write(node.expression), ")")


def matches(function: str) -> Any:
    """`~` and `~*`: REGEXP in a collation that minds the case, or does not."""

    def rule(writer: Writer, node: Any) -> Pieces:
        return bracketed(*writer.write(node.this), f" {function} ", *writer.write(node.expression))

    return rule


def concat(writer: Writer, node: Any) -> Pieces:
    """`||`."""
    return ("concat(", *writer.write(node.this), ", ", *writer.write(node.expression), ")")


def interval(writer: Writer, node: Any) -> Pieces:
    """A span of time of one unit, which MySQL knows only beside a plus or a minus."""
    told = str(node.this.this).split() if isinstance(node.this, exp.Literal) else []
    unit = period(node.args["unit"]) if node.args.get("unit") else ""
    if len(told) != 1 or not told[0].lstrip("-").isdigit() or not unit:
        raise Invalid(f"{shown(node)} must be one number with one unit{writer.for_kind()}")
    return (f"interval {int(told[0])} {unit}",)


def json_path(writer: Writer, node: Any) -> Text:
    """A step into JSON as a path."""
    parts = list(node.expressions)[1:] if isinstance(node, exp.JSONPath) else []
    if len(parts) == 1 and isinstance(parts[0], exp.JSONPathKey) and isinstance(parts[0].this, str):
        quoted = parts[0].this.replace("\\", "\\\\").replace('"', '\\"')
        return Text(f'$."{quoted}"')
    if len(parts) == 1 and isinstance(parts[0], exp.JSONPathSubscript) and isinstance(parts[0].this, int):
        return Text(f"$[{parts[0].this}]")
    raise Invalid(f"A step into JSON must be one key or one place{writer.for_kind()}")


def json_value(writer: Writer, node: Any) -> Pieces:
    """`->`."""
    return ("json_extract(", *writer.write(node.this), ", ", json_path(writer, node.expression), ")")


def json_text(writer: Writer, node: Any) -> Pieces:
    """`->>`."""
    return ("json_unquote(", *json_value(writer, node), ")")


def contains(writer: Writer, node: Any) -> Pieces:
    """`@>` between JSON values."""
    return ("json_contains(", *writer.write(node.this), ", ", *writer.write(node.expression), ")")


def extract(writer: Writer, node: Any) -> Pieces:
    """EXTRACT; what MySQL names by functions is said by them."""
    name = period(node.this)
    value: tuple[Piece, ...] = writer.write(node.expression)
    if name not in DAY_NAMES:
        return (f"extract({name} from ", *value, ")")
    if not (pattern := DAY_NAMES[name]):
        raise Invalid(f"'{name}' is not a period{writer.for_kind()}")
    before, after = pattern.split("{}")
    return (before, *value, after)


def position(writer: Writer, node: Any) -> Pieces:
    """STRPOS and POSITION."""
    return ("locate(", *joined(", ", [writer.write(node.args["substr"]), writer.write(node.this)]), ")")


def starts_with(writer: Writer, node: Any) -> Pieces:
    """STARTS_WITH."""
    return bracketed(*position_of(writer, node), " = 1")


def position_of(writer: Writer, node: Any) -> Pieces:
    """Where a text stands in another."""
    return ("locate(", *writer.write(node.expression), ", ", *writer.write(node.this), ")")


BOTH = frozenset({"this", "expression"})
RULES: Rules = {
    **EVERYWHERE,
    exp.NullSafeEQ: (null_safe, BOTH),
    exp.NullSafeNEQ: (null_safe_not, BOTH),
    exp.ILike: (either_case, BOTH | {"negate"}),
    exp.RegexpLike: (matches("regexp binary"), BOTH),
    exp.RegexpILike: (infix("regexp"), BOTH),
    exp.DPipe: (concat, BOTH),
    exp.JSONExtract: (json_value, BOTH),
    exp.JSONExtractScalar: (json_text, BOTH),
    exp.ArrayContainsAll: (contains, BOTH),
    exp.Cast: (cast, frozenset({"this", "to"})),
    exp.Interval: (interval, frozenset({"this", "unit"})),
    exp.Extract: (extract, BOTH),
    exp.StrPosition: (position, frozenset({"this", "substr"})),
    exp.StartsWith: (starts_with, BOTH),
    exp.Trunc: call("truncate", "this", "decimals"),
}
MYSQL = Words("mysql", RULES, CALLS, folds_case=False)


def where(text: str, table: str, columns: frozenset[str]) -> Pieces:
    """The clause as MySQL reads it; Invalid points at what it may not say."""
    return Writer(MYSQL, table, columns).write(parse(text))
