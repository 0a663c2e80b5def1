"""Signatures under packages: our own key, and the keys of others that we believe."""

import base64
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from adapters.package_settings import KEY_BYTES, PackageSettings
from domain.errors import Invalid

# Keeps a signature under a package from being one under anything else.
CONTEXT = b"rollbook package v1\0"


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs in our name. `public` is what others put into TRUSTED_SIGNING_KEYS."""

    key: Ed25519PrivateKey = field(repr=False)

    @property
    def public(self) -> str:
        """The public key in base64."""
        return base64.b64encode(self.key.public_key().public_bytes_raw()).decode()

    def sign(self, text: bytes) -> str:
        """The signature in base64."""
        return base64.b64encode(self.key.sign(CONTEXT + text)).decode()


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose signatures are believed, and whether there must be one."""

    keys: frozenset[str] = frozenset()
    required: bool = False

    def verified(self, text: bytes, public: str, signature: str) -> str | None:
        """The key that signed, None when it is not one that is believed; Invalid when the signature is wrong."""
        try:
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public, validate=True))
            key.verify(base64.b64decode(signature, validate=True), CONTEXT + text)
        except (ValueError, InvalidSignature):
            raise Invalid("The signature of the package is wrong") from None
        return public if public in self.keys else None

    def check(self, signed_by: str | None) -> None:
        """Invalid when a signature is missing that must be there."""
        if self.required and signed_by is None:
            raise Invalid("Only packages that a trusted key signed are let in, and this one is not")


def signer_of(settings: PackageSettings, data_dir: Path) -> Signer:
    """Our own key: the configured one, else the one below DATA_DIR, made at the first use."""
    if settings.signing_key:
        return signer(settings.signing_key.get_secret_value().encode(), "SIGNING_KEY")
    path = data_dir / "secrets" / "signing.key"
    if not path.exists():
        with suppress(FileExistsError):
            keep(os.urandom(KEY_BYTES), path)
    return signer(path.read_bytes(), str(path))


def trust_of(settings: PackageSettings, own: Signer) -> Trust:
    """Ours, and those that the settings name."""
    return Trust(settings.trusted_signing_keys | {own.public}, settings.require_signed_packages)


def signer(text: bytes, place: str) -> Signer:
    """The key that a text holds."""
    try:
        return Signer(Ed25519PrivateKey.from_private_bytes(base64.b64decode(text.strip(), validate=True)))
    except ValueError:
        raise ValueError(f"{place} does not hold the base64 of {KEY_BYTES} bytes") from None


def keep(key: bytes, path: Path) -> None:
    """Puts a key where only we read it: whole or not at all. Raises FileExistsError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with NamedTemporaryFile(dir=path.parent, prefix="signing.key.") as file:
        file.write(base64.b64encode(key))
        file.flush()
        os.fsync(file.fileno())
        os.link(file.name, path)
