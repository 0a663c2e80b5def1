"""The where clause in PostgreSQL's words."""

from typing import Any

from sqlglot import exp

from adapters.databases.where.parsing import parse
from adapters.databases.where.rules import EVERYWHERE, Rules, call, infix, negatable, period
from adapters.databases.where.writing import Pieces, Text, Words, Writer, bracketed, joined, number, shown
from domain.errors import Invalid

TYPES = {
    "SMALLINT": "smallint",
    "INT": "integer",
    "BIGINT": "bigint",
    "DECIMAL": "numeric",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "TEXT": "text",
    "VARCHAR": "varchar",
    "CHAR": "char",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIME": "time",
    "TIMETZ": "timetz",
    "TIMESTAMP": "timestamp",
    "TIMESTAMPTZ": "timestamptz",
    "INTERVAL": "interval",
    "UUID": "uuid",
    "JSON": "json",
    "JSONB": "jsonb",
    "VARBINARY": "bytea",
    "INET": "inet",
}
SIZED = ("DECIMAL", "VARCHAR", "CHAR", "TIME", "TIMESTAMP", "TIMESTAMPTZ")
CALLS = ("age", "make_date", "cardinality", "jsonb_array_length", "jsonb_typeof", "octet_length")


def cast(writer: Writer, node: Any) -> Pieces:
    """A cast to a type on the list."""
    return ("cast(", *writer.write(node.this), f" as {type_name(node.to)})")


def type_name(node: Any) -> str:
    """A type, perhaps with its size, or an array of it."""
    kind = getattr(node.this, "name", "") if isinstance(node, exp.DataType) else ""
    inner = list(node.expressions) if kind else []
    if kind == "ARRAY" and len(inner) == 1 and isinstance(inner[0], exp.DataType):
        return f"{type_name(inner[0])}[]"
    if kind not in TYPES or (inner and kind not in SIZED):
        raise Invalid(f"{shown(node)} is not a type that a where clause may cast to")
    sizes = ", ".join(number(one.this) for one in inner)
    return f"{TYPES[kind]}({sizes})" if sizes else TYPES[kind]


def interval(writer: Writer, node: Any) -> Pieces:
    """A span of time, with its unit inside or behind it."""
    if not isinstance(node.this, exp.Literal):
        raise Invalid(f"{shown(node)} is not allowed in a where clause")
    unit = f" {period(node.args['unit'])}" if node.args.get("unit") else ""
    return ("cast(", Text(f"{node.this.this}{unit}"), " as interval)")


def array(writer: Writer, node: Any) -> Pieces:
    """ARRAY[...]."""
    return ("array[", *joined(", ", [writer.write(one) for one in node.expressions]), "]")


def any_of(writer: Writer, node: Any) -> Pieces:
    """ANY of an array of constants."""
    return ("any(", *writer.write(constant(node.this)), ")")


def all_or_call(writer: Writer, node: Any) -> Pieces:
    """ALL of an array of constants; every other name is a function's."""
    rule, _ = EVERYWHERE[exp.Anonymous]
    name = str(node.this).lower()
    if name == "all" and len(node.expressions) == 1:
        return ("all(", *writer.write(constant(node.expressions[0])), ")")
    if name == "row":
        return ("row(", *joined(", ", [writer.write(one) for one in node.expressions]), ")")
    return rule(writer, node)


def constant(node: Any) -> Any:
    """The node, unless a column or a call is in it."""
    if any(node.find_all(exp.Column, exp.Func)) and any(
        not isinstance(one, exp.Array | exp.Cast) for one in node.find_all(exp.Column, exp.Func)
    ):
        raise Invalid(f"{shown(node)} must be an array of constants")
    return node


def json_step(word: str) -> Any:
    """`->` and `->>`: the parser makes a path of the step."""

    def rule(writer: Writer, node: Any) -> Pieces:
        return bracketed(*writer.write(node.this), f" {word} ", *step(writer, node.expression))

    return rule


def step(writer: Writer, node: Any) -> Pieces:
    """A key or a place in an array."""
    if not isinstance(node, exp.JSONPath):
        return writer.write(node)
    parts = list(node.expressions)[1:]
    if len(parts) == 1 and isinstance(parts[0], exp.JSONPathKey) and isinstance(parts[0].this, str):
        return (Text(parts[0].this),)
    if len(parts) == 1 and isinstance(parts[0], exp.JSONPathSubscript) and isinstance(parts[0].this, int):
        return (str(parts[0].this),)
    raise Invalid("A step into JSON must be one key or one place")


def trunc_date(writer: Writer, node: Any) -> Pieces:
    """DATE_TRUNC to a period that is known."""
    return ("date_trunc(", Text(period(node.args["unit"])), ", ", *writer.write(node.this), ")")


def at_zone(writer: Writer, node: Any) -> Pieces:
    """AT TIME ZONE."""
    return bracketed(*writer.write(node.this), " at time zone ", *writer.write(node.args["zone"]))


BOTH = frozenset({"this", "expression"})
RULES: Rules = {
    **EVERYWHERE,
    exp.Anonymous: (all_or_call, frozenset({"this", "expressions"})),
    exp.NullSafeEQ: (infix("is not distinct from"), BOTH),
    exp.NullSafeNEQ: (infix("is distinct from"), BOTH),
    exp.ILike: (negatable("ilike"), BOTH | {"negate"}),
    exp.SimilarTo: (negatable("similar to"), BOTH | {"negate"}),
    exp.RegexpLike: (infix("~"), BOTH),
    exp.RegexpILike: (infix("~*"), BOTH),
    exp.DPipe: (infix("||"), BOTH),
    exp.ArrayContainsAll: (infix("@>"), BOTH),
    exp.ArrayContainedBy: (infix("<@"), BOTH),
    exp.ArrayOverlaps: (infix("&&"), BOTH),
    exp.JSONBContainsTopKey: (infix("?"), BOTH),
    exp.JSONBExtract: (infix("#>"), BOTH),
    exp.JSONBExtractScalar: (infix("#>>"), BOTH),
    exp.JSONExtract: (json_step("->"), BOTH),
    exp.JSONExtractScalar: (json_step("->>"), BOTH),
    exp.Cast: (cast, frozenset({"this", "to"})),
    exp.Interval: (interval, frozenset({"this", "unit"})),
    exp.Array: (array, frozenset({"expressions"})),
    exp.Any: (any_of, frozenset({"this"})),
    exp.TimestampTrunc: (trunc_date, frozenset({"this", "unit"})),
    exp.AtTimeZone: (at_zone, frozenset({"this", "zone"})),
    exp.SplitPart: call("split_part", "this", "delimiter", "part_index"),
    exp.StartsWith: call("starts_with", "this", "expression"),
    exp.StrPosition: call("strpos", "this", "substr"),
    exp.Trunc: call("trunc", "this", "decimals"),
}
POSTGRESQL = Words("postgresql", RULES, {name: name for name in CALLS}, folds_case=True)


def where(text: str, table: str, columns: frozenset[str]) -> Pieces:
    """The clause as PostgreSQL reads it; Invalid points at what it may not say."""
    return Writer(POSTGRESQL, table, columns).write(parse(text))
