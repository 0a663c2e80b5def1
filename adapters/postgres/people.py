"""Pseudonyms for people, and the keys that open their logins; destroying a person's key is erasing them."""

import base64
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

from adapters.keyring import fingerprint, new_key, seal, unseal
from adapters.postgres.pools import Pools, again_when_cut_off
from application.ports.event_store import Actor

REMEMBERED = 50_000
REMEMBERED_SECONDS = 60.0
ERASED = "erased"


class People:
    """Knows the people of each organisation. What it remembers of a person it forgets within a minute."""

    def __init__(self, pools: Pools, master: bytes, clock: Callable[[], float] = monotonic) -> None:
        self.pools = pools
        self.master = master
        self.clock = clock
        self.organisation_keys: OrderedDict[tuple[str, str], tuple[float, bytes]] = OrderedDict()
        self.actors: OrderedDict[tuple[str, str], tuple[float, Actor]] = OrderedDict()
        self.logins: OrderedDict[tuple[str, str], tuple[float, str]] = OrderedDict()

    async def actor(self, organisation: str, login: str) -> Actor:
        """The person's pseudonym and sealed login; a stranger gets both, for good."""
        known = self.actors.get((organisation, login))
        if known and known[0] > self.clock():
            return known[1]
        key = await self.organisation_key(organisation)
        actor = await self.find_or_add(organisation, login, key)
        self.remember(self.actors, (organisation, login), actor)
        return actor

    def remember(self, among: OrderedDict[Any, Any], key: tuple[str, str], value: Any) -> None:
        """For a minute, and not more than so many."""
        among[key] = (self.clock() + REMEMBERED_SECONDS, value)
        if len(among) > REMEMBERED:
            among.popitem(last=False)

    async def find_or_add(self, organisation: str, login: str, key: bytes) -> Actor:
        """Two processes that meet a stranger at once agree on one pseudonym."""
        print_ = fingerprint(key, login)
        personal, actor_id = new_key(), uuid4()
        sealed = base64.b64encode(seal(personal, login.encode(), actor_id.bytes)).decode()
        wrapped = seal(key, personal, actor_id.bytes)
        query = """with added as (insert into rollbook.people values (%s, %s, %s, %s, %s)
                     on conflict (organisation, fingerprint) do nothing returning actor_id, sealed_login)
                   select * from added union all
                   select actor_id, sealed_login from rollbook.people where organisation = %s and fingerprint = %s"""
        values = [organisation, actor_id, print_, wrapped, sealed, organisation, print_]
        rows: list[Any] = []
        while not rows:
            rows = await self.fetch(organisation, query, values)
        return Actor(rows[0][0], rows[0][1])

    async def organisation_key(self, organisation: str) -> bytes:
        """The organisation's key, made when it is first needed."""
        known = self.organisation_keys.get((organisation, ""))
        if known and known[0] > self.clock():
            return known[1]
        wrapped = seal(self.master, new_key(), organisation.encode())
        query = """insert into rollbook.organisations (organisation, wrapped_key) values (%s, %s)
                   on conflict (organisation) do update
                      set wrapped_key = coalesce(organisations.wrapped_key, excluded.wrapped_key)
                   returning wrapped_key"""
        stored = (await self.fetch(organisation, query, [organisation, wrapped]))[0][0]
        key = unseal(self.master, bytes(stored), organisation.encode())
        self.remember(self.organisation_keys, (organisation, ""), key)
        return key

    async def logins_of(self, organisation: str, actor_ids: Iterable[str | None]) -> dict[str, str]:
        """The login behind each pseudonym; `erased` for whoever was forgotten."""
        now = self.clock()
        wanted = {one for one in actor_ids if one}
        known = {a: k[1] for a in wanted if (k := self.logins.get((organisation, a))) and k[0] > now}
        if missing := wanted - known.keys():
            known |= await self.open_logins(organisation, missing)
        return known

    async def open_logins(self, organisation: str, actor_ids: set[str]) -> dict[str, str]:
        """Decrypts what can still be decrypted."""
        key = await self.organisation_key(organisation)
        query = """select actor_id, wrapped_key, sealed_login from rollbook.people
                    where organisation = %s and actor_id = any(%s::uuid[])"""
        found = dict.fromkeys(actor_ids, ERASED)
        for actor_id, wrapped, sealed in await self.fetch(organisation, query, [organisation, list(actor_ids)]):
            # Who came under a key that was destroyed a moment before is as good as erased.
            with suppress(PermissionError):
                personal = unseal(key, bytes(wrapped), actor_id.bytes)
                found[str(actor_id)] = unseal(personal, base64.b64decode(sealed), actor_id.bytes).decode()
        for actor_id, login in found.items():
            self.remember(self.logins, (organisation, actor_id), login)
        return found

    async def present(self, organisation: str) -> set[str]:
        """The pseudonyms of all whose key is still there."""
        query = "select actor_id::text from rollbook.people where organisation = %s"
        return {one for (one,) in await self.fetch(organisation, query, [organisation])}

    async def known_as(self, organisation: str, texts: Iterable[str]) -> dict[str, str]:
        """The pseudonyms of those texts that have one; nobody becomes known by being asked for."""
        key = await self.organisation_key(organisation)
        prints = {text: fingerprint(key, text) for text in texts}
        query = "select fingerprint, actor_id from rollbook.people where organisation = %s and fingerprint = any(%s)"
        rows = await self.fetch(organisation, query, [organisation, list(prints.values())])
        found = {bytes(print_): str(actor_id) for print_, actor_id in rows}
        return {text: found[print_] for text, print_ in prints.items() if print_ in found}

    async def erase(self, organisation: str, actor_id: UUID) -> bool:
        """Destroys a person's key for good; whether there was one."""
        query = "delete from rollbook.people where organisation = %s and actor_id = %s returning actor_id"
        erased = await self.fetch(organisation, query, [organisation, actor_id])
        self.actors.clear()
        self.logins.clear()
        return bool(erased)

    async def erase_all(self, organisation: str) -> int:
        """Destroys the organisation's key and everybody's in it for good; how many people that were."""
        query = """with gone as (delete from rollbook.people where organisation = %s returning 1),
                        forgotten as (update rollbook.organisations set wrapped_key = null
                                       where organisation = %s and wrapped_key is not null)
                   select count(*) from gone"""
        erased = await self.fetch(organisation, query, [organisation, organisation])
        for remembered in (self.organisation_keys, self.actors, self.logins):
            remembered.clear()
        return int(erased[0][0])

    async def fetch(self, organisation: str, query: str, values: list[Any]) -> list[Any]:
        """Runs a statement of ours as a writer of this organisation."""

        async def run() -> list[Any]:
            async with self.pools.writing(organisation) as connection:
                rows: list[Any] = await (await connection.execute(query.encode(), values, binary=True)).fetchall()
                return rows

        return await again_when_cut_off(run)
