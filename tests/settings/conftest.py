"""Each test of the settings starts from nothing: no variables of ours, and an empty folder."""

import os
from pathlib import Path

import pytest

from adapters.settings import Settings, warn_of_snowflake


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ours = {name.upper() for name in Settings.model_fields} | {"SECRETS_DIR"}
    for name in [*os.environ]:
        if name.upper() in ours or name.upper().startswith("SNOWFLAKE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    warn_of_snowflake.cache_clear()
