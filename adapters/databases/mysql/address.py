"""The address of a MySQL or MariaDB database, taken apart as the driver wants it."""

import ssl
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

SCHEMES = ("mysql", "mariadb")
PORT = 3306
# As MySQL's own programs call them.
PLAIN, ENCRYPTED, TRUSTED, NAMED = "disabled", "required", "verify_ca", "verify_identity"


def address(dsn: str) -> dict[str, Any]:
    """`mysql://user:password@host:3306/database?ssl-mode=verify_identity&ssl-ca=/path`, or `&socket=/path`.

    Without an `ssl-mode` nothing is encrypted, unless `ssl-ca` asks for it. ValueError when it is no such address.
    """
    parts = urlsplit(dsn)
    if parts.scheme not in SCHEMES or not (database := unquote(parts.path.lstrip("/"))):
        raise ValueError("it is not the address of a MySQL database")
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    found: dict[str, Any] = {"host": parts.hostname or "localhost", "port": parts.port or PORT, "database": database}
    found |= {"user": unquote(parts.username or ""), "password": unquote(parts.password or "")}
    if socket := options.get("socket"):
        found["unix_socket"] = socket
    if context := encryption(options.get("ssl-mode", "").lower(), options.get("ssl-ca")):
        found["ssl"] = context
    return found


def encryption(mode: str, authorities: str | None) -> ssl.SSLContext | None:
    """How the connection is encrypted, and whom it trusts."""
    mode = mode or (TRUSTED if authorities else PLAIN)
    if mode not in (PLAIN, ENCRYPTED, TRUSTED, NAMED):
        raise ValueError("its ssl-mode is none of disabled, required, verify_ca and verify_identity")
    if mode == PLAIN:
        return None
    try:
        context = ssl.create_default_context(cafile=authorities)
    except OSError:
        raise ValueError("its ssl-ca is no list of certificates") from None
    context.check_hostname = mode == NAMED
    context.verify_mode = ssl.CERT_NONE if mode == ENCRYPTED else ssl.CERT_REQUIRED
    return context
