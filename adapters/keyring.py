"""Keys that wrap keys: the master key wraps an organisation's, which wraps each person's, which seals logins."""

import base64
import hashlib
import hmac
import os
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12


def seal(key: bytes, secret: bytes, context: bytes) -> bytes:
    """AES-256-GCM; only the same key and context open it."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, secret, context)


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """What was sealed; PermissionError when the key or the context is another."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
    except InvalidTag:
        raise PermissionError("A sealed value does not open: is MASTER_KEY the one it was sealed under?") from None


def new_key() -> bytes:
    """256 random bits."""
    return os.urandom(KEY_BYTES)


def fingerprint(key: bytes, login: str) -> bytes:
    """Finds a person again by login, for whoever has the organisation's key; any text may be asked for."""
    return hmac.digest(key, login.lower().encode(errors="surrogatepass"), hashlib.sha256)


def master_key(configured: str | None, data_dir: Path) -> bytes:
    """The configured key (base64 of 32 bytes), else the one in DATA_DIR, made at the first start."""
    if configured:
        return checked(base64.b64decode(configured, validate=True))
    path = data_dir / "secrets" / "master.key"
    if not path.exists():
        with suppress(FileExistsError):
            keep_key(new_key(), data_dir)
    try:
        return checked(base64.b64decode(path.read_bytes(), validate=True))
    except ValueError:
        raise ValueError(f"{path} does not hold a master key, which is the base64 of {KEY_BYTES} bytes") from None


def present_key(configured: str | None, data_dir: Path) -> bytes | None:
    """The master key if there is one already; none is made."""
    if configured or (data_dir / "secrets" / "master.key").exists():
        return master_key(configured, data_dir)
    return None


def keep_key(key: bytes, data_dir: Path) -> None:
    """Puts a master key into DATA_DIR, which must have none; it is there whole or not at all, and on disk when this
    returns. Raises FileExistsError."""
    path = data_dir / "secrets" / "master.key"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with NamedTemporaryFile(dir=path.parent, prefix="master.key.") as file:
        file.write(encoded(checked(key)))
        file.flush()
        os.fsync(file.fileno())
        os.link(file.name, path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def encoded(key: bytes) -> bytes:
    """A key as MASTER_KEY has it."""
    return base64.b64encode(key)


def key_id(key: bytes) -> str:
    """Tells keys apart, and nothing else of them."""
    return hmac.digest(key, b"rollbook master key", hashlib.sha256).hex()[:32]


def mask_key(key: bytes) -> str:
    """What masks values, for whoever has the organisation's key; it says nothing of that key."""
    return hmac.digest(key, b"rollbook masks", hashlib.sha256).hex()


def checked(key: bytes) -> bytes:
    """The key, when it has the right size."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"MASTER_KEY must be {KEY_BYTES} bytes in base64")
    return key
