"""A fresh small API for each test."""

import pytest

from tests.http.asgi import Shop


@pytest.fixture
def shop() -> Shop:
    """An API of this layer, without a socket."""
    return Shop()
