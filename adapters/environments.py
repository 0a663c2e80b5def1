"""Finds environments: those of the operator's file, and those that organisations added themselves."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from adapters.databases.kinds import KINDS
from adapters.environment_file import Configured, read_environments
from adapters.environment_secrets import any_secret, own_secret
from application.execution import stream_of
from application.ports.databases import Source, Target
from application.ports.environments import Access, Trial
from application.ports.event_store import EventStore
from domain import environment as added
from domain.dataset import DatabaseKind
from domain.errors import Invalid, RollbookError

TRIAL_SECONDS = 10
WARNINGS: tuple[tuple[str, Callable[[Access | None, Access | None], bool]], ...] = (
    ("dsn may do everything on its server: a role with fewer rights does too", lambda dsn, _: is_superuser(dsn)),
    ("reader_dsn may do everything on its server: it needs SELECT alone", lambda _, reader: is_superuser(reader)),
    (
        "dsn cannot write: packages can come from here, and not go here",
        lambda dsn, _: dsn is not None and not writes(dsn),
    ),
    ("reader_dsn can write: it needs SELECT alone", lambda _, reader: writes(reader)),
)


@dataclass(frozen=True, slots=True)
class KnownEnvironment:
    """See the port."""

    name: str
    kind: DatabaseKind
    dsn: str = field(repr=False)
    reader_dsn: str | None = field(default=None, repr=False)

    @property
    def database_name(self) -> str:
        """As its DSN says."""
        return KINDS[self.kind].database_name(self.dsn)

    def source(self) -> Source:
        """Through the reader's DSN where there is one."""
        return KINDS[self.kind].open_source(self.reader_dsn or self.dsn)

    def target(self) -> Target:
        """Through the DSN."""
        return KINDS[self.kind].open_target(self.dsn)

    async def test(self) -> Trial:
        """Both at once."""
        problems: list[str] = []
        access, reader = await asyncio.gather(
            self.tried("dsn", self.dsn, problems), self.tried("reader_dsn", self.reader_dsn, problems)
        )
        warnings = tuple(text for text, applies in WARNINGS if applies(access, reader))
        return Trial(access, reader, tuple(sorted(problems)), warnings)

    async def tried(self, what: str, dsn: str | None, problems: list[str]) -> Access | None:
        """The access that a DSN gives; why there is none goes to the problems."""
        if dsn is None:
            return None
        try:
            async with asyncio.timeout(TRIAL_SECONDS):
                return await KINDS[self.kind].probe(dsn)
        except RollbookError as problem:
            problems.append(f"{what}: {problem.message}")
        except TimeoutError:
            problems.append(f"{what}: no answer within {TRIAL_SECONDS} s")
        return None


def is_superuser(access: Access | None) -> bool:
    """Whether there is access, with every right."""
    return access is not None and access.is_superuser


def writes(access: Access | None) -> bool:
    """Whether there is access, and it can write."""
    return access is not None and access.can_write


@dataclass(frozen=True, slots=True)
class KnownEnvironments:
    """See the port. What the operator's file says comes first; the rest is asked of the log itself."""

    store: EventStore
    file: Path | None = None
    secrets: Path | None = None
    configured: dict[tuple[str | None, str], Configured] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        found = read_environments(self.file) if self.file else ()
        self.configured.update({(one.organisation, one.name): one for one in found})

    def of_file(self, organisation: str) -> dict[str, Configured]:
        """The environments that the operator gave this organisation, by name; one of its own hides that of all."""
        everybodys = {name: one for (owner, name), one in self.configured.items() if owner is None}
        own = {name: one for (owner, name), one in self.configured.items() if owner == organisation}
        return everybodys | own

    async def find(self, organisation: str, name: str) -> KnownEnvironment:
        """The environment with its secrets."""
        if one := self.of_file(organisation).get(name):
            beside = self.file.parent if self.file else Path()
            given = [value.get_secret_value() if value else None for value in (one.dsn, one.reader_dsn)]
            return await opened(name, one.kind, given, lambda value: any_secret(beside, value), "ENVIRONMENTS_FILE")
        known = await self.look_up(organisation, name)
        assert known.kind is not None
        references = [known.dsn, known.reader_dsn]
        return await opened(name, known.kind, references, lambda value: own_secret(self.secrets, organisation, value))

    async def look_up(self, organisation: str, name: str) -> added.Environment:
        """The environment that the organisation added; NotFound when there is none."""
        if not added.NAME.fullmatch(name):
            raise added.unknown(name)
        stream_id = stream_of(added.Environment, added.Environment.id_of(organisation, name))
        known: added.Environment | None = (await self.store.load(organisation, [stream_id])).get(stream_id)
        if known is None or known.kind is None:
            raise added.unknown(name)
        return known


async def opened(
    name: str, kind: DatabaseKind, given: Iterable[str | None], secret: Callable[[str], str], source: str | None = None
) -> KnownEnvironment:
    """The environment, once its secrets are found. What the operator wrote in a file is not told to others."""
    try:
        dsn, reader_dsn = [await asyncio.to_thread(secret, value) if value else None for value in given]
    except ValueError as fault:
        raise Invalid(
            f"Environment '{name}': {f'its secret is not where {source} says' if source else fault}"
        ) from None
    for found in (dsn, reader_dsn):
        check_dsn(name, kind, found)
    assert dsn is not None
    return KnownEnvironment(name, kind, dsn, reader_dsn)


def check_dsn(name: str, kind: DatabaseKind, dsn: str | None) -> None:
    """Invalid, without repeating it, when it is no address of this kind."""
    try:
        if dsn is not None:
            KINDS[kind].database_name(dsn)
    except ValueError as fault:
        raise Invalid(f"Environment '{name}': {fault}") from None
