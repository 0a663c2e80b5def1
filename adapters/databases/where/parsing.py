"""Reads a where clause: hostile text becomes a tree, or a refusal that points at the offending word."""

import re
from collections.abc import Iterator

from sqlglot import ErrorLevel, exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from adapters.databases.where.rules import PERIODS
from domain.errors import Invalid

GRAMMAR = Postgres()
LONGEST = 10_000
MOST_TOKENS = 2_000
DEEPEST = 60
REFUSED = {
    TokenType.SEMICOLON: "a statement may not end in the middle of a where clause",
    TokenType.PARAMETER: "a where clause has no parameters",
    TokenType.SELECT: "a where clause has no sub-select",
    TokenType.NATIONAL_STRING: "write the text in plain quotes",
    TokenType.UNICODE_STRING: "write the text in plain quotes",
}
# Of other spans of time the parser would keep the first unit and drop the rest.
ONE_PERIOD = re.compile(rf"\s*-?[0-9]+\s*({'|'.join(PERIODS)})S?\s*", re.IGNORECASE)
# PostgreSQL reads these from the left to the right; the parser reads the second kind first.
COMPARING = (
    exp.RegexpLike,
    exp.RegexpILike,
    exp.ArrayContainsAll,
    exp.ArrayContainedBy,
    exp.ArrayOverlaps,
    exp.JSONBContainsTopKey,
)
MAKING = (exp.DPipe, exp.JSONExtract, exp.JSONExtractScalar, exp.JSONBExtract, exp.JSONBExtractScalar)
OPENING = (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.CASE)
CLOSING = (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.END)


def parse(text: str) -> exp.Expr:
    """The tree of a boolean expression in PostgreSQL's grammar; Invalid says what is wrong, and where."""
    if len(text) > LONGEST:
        raise Invalid(f"A where clause has at most {LONGEST} characters")
    check(text, tokens := tokens_of(text))
    tokens = [*cast_intervals(tokens)]
    try:
        found = GRAMMAR.parser(error_level=ErrorLevel.IMMEDIATE).parse_into(exp.Condition, tokens, text)
    except ParseError as problem:
        raise Invalid(f"The where clause cannot be read{near(problem)}") from None
    except RecursionError:
        raise Invalid(f"The where clause is nested deeper than {DEEPEST} levels") from None
    if len(found) != 1 or found[0] is None:
        raise Invalid("The where clause must be one expression")
    refuse_other_order(found[0])
    return found[0]


def refuse_other_order(tree: exp.Expr) -> None:
    """Refuses what PostgreSQL would put together in another way than the parser did."""
    for node in tree.find_all(*COMPARING):
        if isinstance(node.expression, MAKING):
            raise Invalid(f"Put brackets around '{node.expression.sql('postgres')[:60]}' in the where clause")


def tokens_of(text: str) -> list[Token]:
    """The words of the text."""
    if "\0" in text or text.encode(errors="ignore").decode() != text:
        raise Invalid("A where clause holds a character that no database takes")
    try:
        tokens: list[Token] = GRAMMAR.tokenize(text)
    except TokenError:
        raise Invalid("The where clause cannot be read: is a quote left open?") from None
    if not tokens:
        raise Invalid("The where clause is empty")
    return tokens


def check(text: str, tokens: list[Token]) -> None:
    """Refuses what no expression needs, before anybody reads meaning into it."""
    if len(tokens) > MOST_TOKENS:
        raise Invalid(f"A where clause has at most {MOST_TOKENS} words")
    depth = 0
    for token in tokens:
        if token.comments:
            raise Invalid(f"A where clause has no comments, as near '{token.text}' at character {token.start + 1}")
        if why := REFUSED.get(token.token_type):
            raise Invalid(f"'{text[token.start : token.end + 1]}' at character {token.start + 1}: {why}")
        depth += (token.token_type in OPENING) - (token.token_type in CLOSING)
        if depth > DEEPEST:
            raise Invalid(f"The where clause is nested deeper than {DEEPEST} levels")


def cast_intervals(tokens: list[Token]) -> Iterator[Token]:
    """The words, but `interval '1 day 02:00'` as `'1 day 02:00'::interval`: the database knows best what it says."""
    spans = {place for place in range(len(tokens) - 1) if is_long_interval(tokens[place : place + 3])}
    for place, token in enumerate(tokens):
        if place - 1 in spans:
            yield from (token, Token(TokenType.DCOLON, "::", token.line, token.col), tokens[place - 1])
        elif place not in spans:
            yield token


def is_long_interval(tokens: list[Token]) -> bool:
    """Whether words begin with a span of time that is more than one unit, or none that we name."""
    if [one.token_type for one in tokens[:2]] != [TokenType.INTERVAL, TokenType.STRING]:
        return False
    has_unit = len(tokens) > 2 and tokens[2].text.upper().removesuffix("S") in PERIODS
    return not has_unit and ONE_PERIOD.fullmatch(tokens[1].text) is None


def near(problem: ParseError) -> str:
    """Where a text stops making sense."""
    if not problem.errors or not (word := problem.errors[0].get("highlight")):
        return ""
    return f" near '{word[:40]}' (line {problem.errors[0]['line']})"
