"""What the tests of other rules share: commands on a real store."""

from tests.kernel.conftest import kernel

__all__ = ["kernel"]
