"""Where packages come from and go to: the configured databases, by organisation and name."""

from typing import Protocol

from application.ports.databases import Source, Target
from domain.dataset import DatabaseKind


class Environment(Protocol):
    """One configured database. Nothing of it tells its address or its secrets, also not its text form."""

    @property
    def name(self) -> str:
        """What users call it."""
        ...

    @property
    def kind(self) -> DatabaseKind:
        """What kind of database it is."""
        ...

    @property
    def database_name(self) -> str:
        """What the database is called on its server."""
        ...

    def source(self) -> Source:
        """For packing: through the address for reading where there is one. Connects to nothing yet."""
        ...

    def target(self) -> Target:
        """For deploying. Connects to nothing yet; it refuses to work on an event store of Rollbook's."""
        ...


class Environments(Protocol):
    """The environments of every organisation, as they are now."""

    async def find(self, organisation: str, name: str) -> Environment:
        """The environment; NotFound names one that is not there, Invalid one whose secret is not."""
        ...
