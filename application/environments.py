"""Adding environments, naming other secrets for them, and removing them."""

from dataclasses import dataclass

from application.execution import Work
from domain.dataset import DatabaseKind
from domain.environment import NAME, Environment, unknown


@dataclass(frozen=True, slots=True)
class AddEnvironment:
    """Let a name stand for a database; `dsn` and `reader_dsn` are references to secrets."""

    name: str
    kind: DatabaseKind
    dsn: str
    reader_dsn: str | None = None


@dataclass(frozen=True, slots=True)
class ChangeEnvironment:
    """Find an environment's secrets elsewhere."""

    name: str
    dsn: str
    reader_dsn: str | None = None


@dataclass(frozen=True, slots=True)
class RemoveEnvironment:
    """Free a name."""

    name: str


async def add_environment(work: Work, command: AddEnvironment) -> str:
    """Answers the environment's name."""
    environment = await work.load(Environment, Environment.id_of(work.organisation, command.name))
    if environment is None:
        environment = Environment.open(work.organisation, command.name, work.now)
        work.add(environment)
    environment.add(command.kind, command.dsn, command.reader_dsn, work.now)
    return command.name


async def change_environment(work: Work, command: ChangeEnvironment) -> str:
    """Answers the environment's name."""
    environment = await load_environment(work, command.name)
    environment.change(command.dsn, command.reader_dsn, work.now)
    return command.name


async def remove_environment(work: Work, command: RemoveEnvironment) -> str:
    """Answers the name that is free now."""
    environment = await load_environment(work, command.name)
    environment.remove(work.now)
    return command.name


async def load_environment(work: Work, name: str) -> Environment:
    """The environment, or NotFound."""
    known = NAME.fullmatch(name) and await work.load(Environment, Environment.id_of(work.organisation, name))
    if not known:
        raise unknown(name)
    return known
