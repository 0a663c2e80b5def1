"""Rollbook's own tokens as text: how one is made, known by its looks, and found without being kept."""

import hashlib
import secrets

PREFIX = "rbk_"
RANDOM_BYTES = 32
MAX_LENGTH = 512


def new_secret() -> str:
    """A token of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def digest(secret: str) -> bytes:
    """What is kept of a token: its SHA-256."""
    return hashlib.sha256(secret.encode()).digest()
