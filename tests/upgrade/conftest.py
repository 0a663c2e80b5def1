"""The kernel, for releases that run side by side on one database."""

from tests.kernel.conftest import kernel

__all__ = ["kernel"]
