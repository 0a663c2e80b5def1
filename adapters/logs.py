"""Structured logs on standard error, as JSON or for a person, with secrets masked."""

import logging
import re
import sys
from typing import Any

import structlog

SECRET_NAMES = re.compile(r"authorization|token|password|secret|dsn|api_key|master_key", re.IGNORECASE)
USERINFO = re.compile(r"(?<=://)[^/?#\s]+@")
TOKEN = re.compile(r"(gh[a-z]_|github_pat_|rbk_|eyJ)[A-Za-z0-9_.-]{10,}|whsec_[A-Za-z0-9+/=]{10,}")
MASK = "********"
# What structlog itself carries through the chain.
BOOKKEEPING = frozenset({"_record", "_from_structlog", "exc_info", "stack_info"})


def mask_secrets(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Masks values whose names look secret, passwords in URLs, and whatever looks like a token."""
    return {name: value if name in BOOKKEEPING else masked(name, value) for name, value in event.items()}


def masked(name: str, value: Any) -> Any:
    """A value that may stand in a log, all the way down; what is no plain value is judged by how it would print."""
    if SECRET_NAMES.search(name):
        return MASK
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {without_secrets(str(key)): masked(str(key), one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked("", one) for one in value]
    return without_secrets(value if isinstance(value, str) else repr(value))


def without_secrets(text: str) -> str:
    """The text without user information in URLs and without what looks like a token."""
    return TOKEN.sub(MASK, USERINFO.sub(f"{MASK}@", text))


def configure_logging(level: str, form: str) -> None:
    """Sends our own lines, and those of libraries, through one chain; `form` is json or console."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask_secrets,
    ]
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if form == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for noisy in ("httpx", "httpx2", "httpcore", "psycopg.pool", "nats", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
