"""Where packages come from and go to: the configured databases, by organisation and name."""

from dataclasses import dataclass
from typing import Protocol

from application.ports.databases import Source, Target
from domain.dataset import DatabaseKind


@dataclass(frozen=True, slots=True)
class Access:
    """What one address of a database gives who connects by it. `latency_ms` is one question and its answer."""

    server: str
    latency_ms: float
    can_write: bool
    is_superuser: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of trying an environment; None where there was no access, or nothing to try.

    `problems` say why something cannot be reached, `warnings` what had better be otherwise.
    """

    access: Access | None
    reader: Access | None
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


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

    async def test(self) -> Trial:
        """Connects by each address, with a time limit; what fails is told and not raised."""
        ...


class Environments(Protocol):
    """The environments of every organisation, as they are now."""

    async def find(self, organisation: str, name: str) -> Environment:
        """The environment; NotFound names one that is not there, Invalid one whose secret is not."""
        ...
