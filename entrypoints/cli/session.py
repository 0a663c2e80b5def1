"""What every client command has in common: how it is told where to ask, and how it answers."""

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, Literal, ParamSpec
from urllib.parse import quote, urlsplit

import typer

from entrypoints.cli.failures import misuse
from entrypoints.cli.output import print_json

if TYPE_CHECKING:
    from entrypoints.cli.client import Api, Place

PANEL = "Connection and output"
P = ParamSpec("P")

# Help in a pipe or a file is plain text.
MARKUP: Literal["rich"] | None = "rich" if sys.stdout.isatty() else None

Url = Annotated[
    str,
    typer.Option(
        "--api-url",
        envvar=["API_URL"],
        help="Where the server is.",
        rich_help_panel=PANEL,
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar=["ROLLBOOK_TOKEN", "GITHUB_TOKEN"],
        help="A GitHub or Rollbook token. Better in the environment: arguments can be seen by others.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
Organisation = Annotated[
    str | None,
    typer.Option(
        "--org",
        envvar=["ORG"],
        help="The organisation to act in.",
        rich_help_panel=PANEL,
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        envvar=["ROLLBOOK_TIMEOUT"],
        min=0.1,
        max=3600,
        help="Seconds for a request and its retries.",
        rich_help_panel=PANEL,
    ),
]
Retries = Annotated[
    int,
    typer.Option(
        envvar=["ROLLBOOK_RETRIES"],
        min=0,
        max=20,
        help="How often to try again when the server is unavailable.",
        rich_help_panel=PANEL,
    ),
]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print the server's answer as JSON.", rich_help_panel=PANEL),
]


def group() -> typer.Typer:
    """A set of commands, each registered under its name."""
    return typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=MARKUP)


@dataclass(frozen=True, slots=True)
class Session:
    """One command's way to the server and back to the user."""

    api: "Api"
    as_json: bool

    def answer(self, body: Any, tell: Callable[[Any], None]) -> None:
        """Prints the body as JSON where that was asked for, else as `tell` does; a Failure where it cannot."""
        try:
            (print_json if self.as_json else tell)(body)
        except (KeyError, TypeError, AttributeError) as fault:
            from entrypoints.cli.client import unexpected

            raise unexpected() from fault
        sys.stdout.flush()


def options(
    *,
    api_url: Url = "http://localhost:8000",
    token: Token = None,
    org: Organisation = None,
    timeout: Timeout = 30.0,
    retries: Retries = 3,
    as_json: AsJson = False,
) -> tuple["Place", bool]:
    """What the options of every client command say."""
    from entrypoints.cli.client import Place

    place = Place(
        checked_url(api_url),
        fit_for_header("token", token),
        fit_for_header("organisation", org),
        timeout,
        retries,
    )
    return place, as_json


SHARED_OPTIONS = inspect.signature(options).parameters


def command(work: Callable[Concatenate[Session, P], None]) -> Callable[..., None]:
    """Adds the common options to a command and opens the session that it is given first."""

    @wraps(work)
    def run(**given: Any) -> None:
        place, as_json = options(**{name: given.pop(name) for name in SHARED_OPTIONS})
        from entrypoints.cli.client import Api

        with Api(place) as api:
            work(Session(api, as_json), **given)  # type: ignore[call-arg]

    signature = inspect.signature(work)
    own = [p.replace(kind=p.KEYWORD_ONLY) for p in list(signature.parameters.values())[1:]]
    # Typer reads it off the function, on which mypy knows no such attribute.
    run.__signature__ = signature.replace(parameters=[*own, *SHARED_OPTIONS.values()])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in [*own, *SHARED_OPTIONS.values()]}
    del run.__wrapped__
    return run


def checked_url(text: str) -> str:
    """An address that requests can go to, without the slashes at its end."""
    try:
        parts = urlsplit(text.strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and is_visible(text)
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or parts.username is not None:
        raise misuse("API_URL must look like https://api.example.com")
    return text.strip().rstrip("/")


def is_visible(text: str) -> bool:
    """Whether it is only what headers and addresses may hold, apart from space around it."""
    return text.isascii() and text.strip().isprintable() and " " not in text.strip()


def fit_for_header(what: str, text: str | None) -> str | None:
    """The text without space around it; None when empty. Whatever no header can carry is refused, unshown."""
    text = (text or "").strip()
    if not is_visible(text):
        raise misuse(f"The {what} holds characters that cannot be sent")
    return text or None


def part(text: str) -> str:
    """An id as one part of a path."""
    if text.strip() in ("", ".", ".."):
        raise misuse("An id must not be empty")
    return quote(text, safe="")


def query(**wanted: Any) -> list[tuple[str, str]]:
    """A query string's pairs; None is left out, several values repeat their name."""
    pairs = []
    for name, value in wanted.items():
        values = value if isinstance(value, list) else [] if value is None else [value]
        pairs += [(name, plain(one)) for one in values]
    return pairs


def plain(value: Any) -> str:
    """A value as a query carries it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def filled(**fields: Any) -> dict[str, Any]:
    """A body of the fields that were given."""
    return {name: value for name, value in fields.items() if value is not None}
