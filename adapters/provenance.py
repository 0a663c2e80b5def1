"""Where each setting comes from, and its value without secrets."""

import os
import re
from typing import Any

from pydantic import SecretStr

from adapters.settings import Settings, in_dotenv, secrets_folder

MASK = "********"
NEXT_URL = re.compile(r",(?=[a-z]+://)")


def settings_with_origin(settings: Settings) -> list[tuple[str, str, str]]:
    """Name, value (secrets masked) and origin of each setting: default, environment, .env or secrets."""
    origins = {name: origin for origin, names in sources().items() for name in names}
    return [
        (name.upper(), shown(getattr(settings, name)), origins.get(name, "default"))
        for name in type(settings).model_fields
    ]


def sources() -> dict[str, set[str]]:
    """The names that each source sets to something, the strongest source last."""
    folder = secrets_folder()
    return {
        "secrets": {path.name.lower() for path in folder.iterdir() if path.is_file()} if folder else set(),
        ".env": {name.lower() for name, value in in_dotenv().items() if value},
        "environment": {name.lower() for name, value in os.environ.items() if value},
    }


def shown(value: Any) -> str:
    """A value that may be printed."""
    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        return without_password(secret) if "://" in secret else MASK
    if isinstance(value, frozenset):
        return ",".join(sorted(value))
    if isinstance(value, list):
        return ",".join(one.issuer for one in value)
    return "" if value is None else without_password(str(value))


def without_password(address: str) -> str:
    """URLs (commas may stand between them) without passwords and queries; a lone user name may be a token."""
    return ",".join(masked(one) for one in NEXT_URL.split(address))


def masked(url: str) -> str:
    """One URL, its password or lone user name masked. A query may hold anything, so it goes altogether."""
    scheme, found, rest = url.partition("://")
    if not found:
        return url
    who, at, where = rest.rpartition("@")
    user = who.partition(":")[0] + ":" if ":" in who else ""
    place = where.partition("?")[0].partition("#")[0]
    return f"{scheme}://{user}{MASK}@{place}" if at else f"{scheme}://{place}"
