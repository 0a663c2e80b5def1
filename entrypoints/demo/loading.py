"""Puts the demonstration into the store that the settings mean, if that is empty."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from adapters.embedded.running import running_url
from adapters.identity.names import is_name
from adapters.postgres import loading
from adapters.postgres.loading import Progress
from adapters.postgres.migrations import migrate
from adapters.postgres.people import People
from adapters.postgres.pools import Pools
from adapters.settings import Settings
from application.ports.event_store import Actor
from domain.errors import Invalid, Unavailable
from entrypoints.backups import in_one_line, owned
from entrypoints.composition import people as people_of
from entrypoints.demo.cast import Cast, cast
from entrypoints.demo.month import Month, month
from entrypoints.demo.stage import Stage

Phase = Callable[[str], Progress]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be shown. The same wish with the same `until` shows the same, but for keys and pseudonyms."""

    organisation: str
    seed: int = 1
    days: int = 30
    components: int = 200
    environments: int = 5
    until: datetime | None = None


async def show(settings: Settings, wish: Wish, phase: Phase) -> Month:
    """Clash unless the store is empty; all or nothing, but for the names of the people."""
    if not is_name(wish.organisation):
        raise Invalid("An organisation is 1 to 100 printable characters")
    chance = Random(wish.seed)
    players = cast(wish.organisation.lower(), wish.components, wish.environments, chance)
    with in_one_line():
        async with owned(settings) as (owner_url, app_role):
            await migrate(owner_url, app_role)
            await loading.refuse_full(owner_url)
            actors = await introduce(settings, players)
            played = await play(wish, players, actors, chance)
            await loading.load(owner_url, played.stage.ledger, phase("Loading"))
    return played


async def introduce(settings: Settings, players: Cast) -> dict[str, Actor]:
    """Everybody's pseudonym and sealed login, made as for anybody who comes."""
    async with opened(settings) as people:
        return {login: await people.actor(players.organisation, login) for login in players.people}


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[People]:
    """The people of the store; nobody else is connected after."""
    url = settings.database_url.get_secret_value() if settings.database_url else running_url(settings.data_dir)
    if url is None:
        raise Unavailable(f"The database in {settings.data_dir} does not run")
    pools = Pools.of(url, 1)
    await pools.open()
    try:
        yield people_of(settings, pools)
    finally:
        await pools.close()


async def play(wish: Wish, players: Cast, actors: dict[str, Actor], chance: Random) -> Month:
    """The month up to `until`, which is a minute ago where nobody says otherwise."""
    until = wish.until or datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    begin = until - timedelta(days=wish.days)
    stage = Stage(players.organisation, actors, chance, begin)
    return await month(stage, players, chance, begin, until)
