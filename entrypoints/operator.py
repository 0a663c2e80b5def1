"""What whoever runs the machine may do past the API: let a first administrator in, and rebind a name."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from getpass import getuser
from typing import Any
from uuid import UUID, uuid4

from adapters.embedded.running import running_url
from adapters.identity.names import is_name
from adapters.identity.own_tokens import digest, new_secret
from adapters.keyring import present_key
from adapters.postgres.migrations import refuse_missing_schema
from adapters.reachability import check_database
from adapters.settings import Settings
from application.caller import Origin, Role
from application.execution import Handler
from application.organisations import (
    EraseOrganisation,
    ErasePerson,
    RebindOwner,
    erase_organisation,
    erase_person,
    rebind_owner,
)
from application.ports.event_store import Circumstances
from application.tokens import IssueToken, issue_token
from domain.errors import Invalid, NotFound, Unavailable
from entrypoints.composition import Rollbook, build
from projections.registry import TOKENS

Facts = dict[str, Any]


class Operator:
    """Writes to the log as the user of this machine, in any organisation."""

    def __init__(self, rollbook: Rollbook) -> None:
        self.rollbook = rollbook

    async def issue_token(self, organisation: str, name: str, role: Role, expires_at: datetime | None) -> Facts:
        """The token's id and its secret, which nobody can show again."""
        secret = new_secret()
        command = IssueToken(name, role, digest(secret).hex(), expires_at=expires_at)
        token_id = await self.execute(organisation, issue_token, command)
        # The secret is told also when the projector is away, which authentication finds tokens by.
        with suppress(Unavailable):
            await self.rollbook.views.visible(organisation.lower(), TOKENS)
        facts = {"id": token_id, "organisation": organisation.lower(), "name": name, "role": role}
        return {**facts, "expires_at": expires_at, "token": secret}

    async def rebind(self, organisation: str, owner: str, reason: str) -> Facts:
        """The organisation and its new owner."""
        await self.execute(organisation, rebind_owner, RebindOwner(owner, reason))
        return {"organisation": organisation.lower(), "owner": owner}

    async def erase(self, organisation: str, names: Sequence[str]) -> Facts:
        """Destroys the keys of these people: backups taken later do not hold them. May be repeated should it fail."""
        people, tenant = self.rollbook.people, organisation.lower()
        known = await people.known_as(tenant, names)
        if unknown := [name for name in names if name not in known]:
            raise NotFound(f"Nobody in {organisation} is known as {', '.join(unknown)}; nobody is erased")
        for person in dict.fromkeys(known.values()):
            await self.execute(organisation, erase_person, ErasePerson(person))
            await people.erase(tenant, UUID(person))
        return {"organisation": tenant, "erased": sorted(set(known.values()))}

    async def erase_organisation(self, organisation: str, reason: str) -> Facts:
        """Destroys the organisation's key and with it everybody's. May be repeated should it fail."""
        tenant = organisation.lower()
        await self.execute(organisation, erase_organisation, EraseOrganisation(reason))
        return {"organisation": tenant, "people": await self.rollbook.people.erase_all(tenant)}

    async def execute(self, organisation: str, handler: Handler, command: Any) -> str:
        """Runs a command, recorded under the name of the machine's user."""
        if not is_name(organisation):
            raise Invalid("An organisation is 1 to 100 printable characters")
        tenant = organisation.lower()
        circumstances = Circumstances(
            actor=await self.rollbook.people.actor(tenant, machine_user()),
            origin=Origin(interface="operator").facts(),
            occurred_at=datetime.now(UTC),
            correlation_id=uuid4().hex,
        )
        return (await self.rollbook.executor.execute(tenant, circumstances, handler, command)).resource


def machine_user() -> str:
    """Who is at this machine, by name or, where the system knows none, by number."""
    try:
        return getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


@asynccontextmanager
async def operator(settings: Settings) -> AsyncIterator[Operator]:
    """Works on the database that the settings name, else on the one that runs in DATA_DIR."""
    named = settings.database_url.get_secret_value() if settings.database_url else running_url(settings.data_dir)
    if named is None:
        raise Unavailable(f"No Rollbook runs on {settings.data_dir}: start it, or set DATABASE_URL")
    await check_database(named)
    await refuse_missing_schema(named)
    refuse_missing_key(settings)
    rollbook = await build(settings, named)
    try:
        yield Operator(rollbook)
    finally:
        await rollbook.close()


def refuse_missing_key(settings: Settings) -> None:
    """Unavailable without a master key: what is sealed under one made here the processes could not open."""
    secret = settings.master_key.get_secret_value() if settings.master_key else None
    if present_key(secret, settings.data_dir) is None:
        raise Unavailable("The master key is not here: set MASTER_KEY, or DATA_DIR to where the processes keep it")
