"""Whose an organisation's name is: bound at first sight, kept against others, rebound by an administrator."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from application.caller import Caller
from application.execution import Work, stream_of
from application.ports.event_store import EventStore
from domain.organisation import Organisation

REMEMBERED = 10_000
REMEMBERED_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class BindOwner:
    """Let the name belong to the first who comes. `entrusted` ones are let in beside the owner."""

    owner: str
    entrusted: bool = False


@dataclass(frozen=True, slots=True)
class RebindOwner:
    """Give the name to another owner."""

    owner: str
    reason: str


@dataclass(frozen=True, slots=True)
class ErasePerson:
    """Have it on record that a person, named by pseudonym, is forgotten."""

    person: str


@dataclass(frozen=True, slots=True)
class EraseOrganisation:
    """Have it on record that everybody in the organisation is forgotten."""

    reason: str


async def bind_owner(work: Work, command: BindOwner) -> str:
    """Answers the id of the organisation's stream."""
    organisation = await load_or_open(work)
    if organisation.owner is None or not command.entrusted:
        organisation.bind(command.owner, work.now)
    return str(organisation.id)


async def rebind_owner(work: Work, command: RebindOwner) -> str:
    """Answers the id of the organisation's stream."""
    organisation = await load_or_open(work)
    organisation.rebind(command.owner, command.reason, work.now)
    return str(organisation.id)


async def erase_person(work: Work, command: ErasePerson) -> str:
    """Answers the id of the organisation's stream."""
    organisation = await load_or_open(work)
    organisation.erase(command.person, work.now)
    return str(organisation.id)


async def erase_organisation(work: Work, command: EraseOrganisation) -> str:
    """Answers the id of the organisation's stream."""
    organisation = await load_or_open(work)
    organisation.erase_all(command.reason, work.now)
    return str(organisation.id)


async def load_or_open(work: Work) -> Organisation:
    """The organisation, opened when it has no past."""
    organisation = await work.load(Organisation, Organisation.id_of(work.organisation))
    if organisation is None:
        organisation = Organisation.open(work.organisation, work.now)
        work.add(organisation)
    return organisation


class Owners:
    """Whose each organisation is. What is remembered lets in for two seconds at most, and never refuses."""

    def __init__(self, store: EventStore, clock: Callable[[], float]) -> None:
        self.store = store
        self.clock = clock
        self.known: OrderedDict[str, tuple[float, str]] = OrderedDict()

    async def admits(self, caller: Caller) -> bool | None:
        """Whether the caller speaks for the owner; None when there is no owner yet."""
        if caller.organisation_id is None:
            return True
        if self.is_remembered(caller):
            return True
        owner = await self.owner(caller.organisation)
        return None if owner is None else caller.entrusted or owner == caller.organisation_id

    def is_remembered(self, caller: Caller) -> bool:
        """Whether the caller was let in a moment ago, and would be still."""
        until, owner = self.known.get(caller.organisation, (0.0, ""))
        return until > self.clock() and (caller.entrusted or owner == caller.organisation_id)

    async def owner(self, organisation: str) -> str | None:
        """The owner as the log has it now."""
        stream_id = stream_of(Organisation, Organisation.id_of(organisation))
        found = (await self.store.load(organisation, [stream_id])).get(stream_id)
        owner: str | None = found.owner if found else None
        if owner is not None:
            self.remember(organisation, owner)
        return owner

    def remember(self, organisation: str, owner: str) -> None:
        """For two seconds, and not more than so many."""
        self.known[organisation] = (self.clock() + REMEMBERED_SECONDS, owner)
        self.known.move_to_end(organisation)
        if len(self.known) > REMEMBERED:
            self.known.popitem(last=False)
