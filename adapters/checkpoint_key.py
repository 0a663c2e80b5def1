"""The key that seals checkpoints: the configured one, else one of our own, made at the first use."""

import base64
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from adapters.package_settings import KEY_BYTES
from adapters.packages.signing import keep


@dataclass(frozen=True, slots=True)
class CheckpointKey:
    """Seals in our name. `public` is what the verifier is told to believe."""

    key: Ed25519PrivateKey = field(repr=False)

    @property
    def public(self) -> str:
        """The public key in base64."""
        return base64.b64encode(self.key.public_key().public_bytes_raw()).decode()

    @property
    def sign(self) -> Callable[[bytes], str]:
        """Makes signatures, in base64."""
        return lambda text: base64.b64encode(self.key.sign(text)).decode()


def checkpoint_key_of(configured: SecretStr | None, data_dir: Path) -> CheckpointKey:
    """CHECKPOINT_KEY, else what DATA_DIR holds, where nobody but its owner reads it."""
    if configured:
        return parsed(configured.get_secret_value().encode(), "CHECKPOINT_KEY")
    path = data_dir / "secrets" / "checkpoint.key"
    if not path.exists():
        with suppress(FileExistsError):
            keep(os.urandom(KEY_BYTES), path)
    return parsed(path.read_bytes(), str(path))


def parsed(text: bytes, place: str) -> CheckpointKey:
    """The key that a text holds."""
    try:
        return CheckpointKey(Ed25519PrivateKey.from_private_bytes(base64.b64decode(text.strip(), validate=True)))
    except ValueError:
        raise ValueError(f"{place} does not hold the base64 of {KEY_BYTES} bytes") from None
