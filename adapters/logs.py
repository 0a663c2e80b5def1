"""Structured logs on standard error, as JSON or for a person, with secrets masked."""

import logging
import re
import sys
from typing import Any

import structlog

SECRET_NAMES = re.compile(r"authorization|token|password|secret|dsn|api_key|master_key", re.IGNORECASE)
USERINFO = re.compile(r"(?<=://)[^/@\s]+@")
BEARER = re.compile(r"(gh[a-z]_|github_pat_|rbk_|eyJ)[A-Za-z0-9_.-]{10,}")
MASK = "********"


def mask_secrets(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Masks values whose names look secret, passwords in URLs, and whatever looks like a token."""
    return {name: masked(name, value) for name, value in event.items()}


def masked(name: str, value: Any) -> Any:
    """A value that may stand in a log."""
    if SECRET_NAMES.search(name):
        return MASK
    if isinstance(value, str):
        return BEARER.sub(MASK, USERINFO.sub(f"{MASK}@", value))
    return value


def configure_logging(level: str, form: str) -> None:
    """Sends our own lines, and those of libraries, through one chain."""
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
    for noisy in ("httpx", "httpx2", "httpcore", "psycopg.pool", "nats"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
