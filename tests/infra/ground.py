"""Where the files are that run Rollbook elsewhere."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
INFRA = ROOT / "infra"


def described(path: Path) -> Any:
    """What a YAML file says."""
    return yaml.safe_load(path.read_text())
