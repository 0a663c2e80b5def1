"""Under which key the settings have the log sealed, and where they have checkpoints go."""

import os

from adapters.checkpoint_exports import CheckpointExport, CommandExport, FileExport
from adapters.checkpoint_key import checkpoint_key_of
from adapters.nats.checkpoints import FeedExport
from adapters.postgres.pools import Pools
from adapters.postgres.sealing import Sealer
from adapters.settings import Settings


def sealer_of(settings: Settings, pools: Pools) -> Sealer:
    """Seals the log."""
    key = checkpoint_key_of(settings.checkpoint_key, settings.data_dir)
    return Sealer(pools, key.sign, key.public)


def checkpoint_exports_of(settings: Settings, nats_url: str) -> list[CheckpointExport]:
    """A file, a command and the feed, each where there is one."""
    found: list[CheckpointExport] = []
    if settings.checkpoint_file:
        found.append(FileExport(settings.checkpoint_file.absolute()))
    if settings.checkpoint_command:
        found.append(CommandExport(settings.checkpoint_command, environment()))
    if nats_url:
        found.append(FeedExport(nats_url))
    return found


def environment() -> dict[str, str]:
    """What a command finds around it: all but our own settings, some of which are secret."""
    return {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
