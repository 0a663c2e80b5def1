"""Reads a where clause: hostile text becomes a tree, or a refusal that points at the offending word."""

from sqlglot import ErrorLevel, exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

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
OPENING = (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.CASE)
CLOSING = (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.END)


def parse(text: str) -> exp.Expr:
    """The tree of a boolean expression in PostgreSQL's grammar; Invalid says what is wrong, and where."""
    if len(text) > LONGEST:
        raise Invalid(f"A where clause has at most {LONGEST} characters")
    check(text, tokens := tokens_of(text))
    try:
        found = GRAMMAR.parser(error_level=ErrorLevel.IMMEDIATE).parse_into(exp.Condition, tokens, text)
    except ParseError as problem:
        raise Invalid(f"The where clause cannot be read{near(problem)}") from None
    except RecursionError:
        raise Invalid(f"The where clause is nested deeper than {DEEPEST} levels") from None
    if len(found) != 1 or found[0] is None:
        raise Invalid("The where clause must be one expression")
    return found[0]


def tokens_of(text: str) -> list[Token]:
    """The words of the text."""
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


def near(problem: ParseError) -> str:
    """Where a text stops making sense."""
    if not problem.errors or not (word := problem.errors[0].get("highlight")):
        return ""
    return f" near '{word[:40]}' (line {problem.errors[0]['line']})"
