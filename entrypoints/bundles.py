"""Serves a bundle on a machine without the store that it is from."""

import asyncio
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from adapters.bundles.loading import load
from adapters.bundles.manifest import BundleRefused, Manifest
from adapters.bundles.reading import Bundle, opened
from adapters.databases.key_lines import Pairs
from adapters.embedded.postgres import APP, EmbeddedPostgres
from adapters.environments import KnownEnvironment, KnownEnvironments
from adapters.packages.mappings import BlobMappings
from adapters.postgres.migrations import migrate
from adapters.postgres.people import ERASED, People
from adapters.postgres.references import References, Resolved
from adapters.settings import Settings
from domain.errors import Invalid, NotFound
from entrypoints.composition import Rollbook, build
from entrypoints.http.read_only import ReadOnly
from entrypoints.workers.listening import server

# Nothing that is here can be lost: it comes from the file.
CARELESS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "shared_buffers": "64MB"}


class NamedPeople(People):
    """People as the bundle names them; nobody's key is here."""

    names: dict[str, str]

    async def logins_of(self, organisation: str, actor_ids: Iterable[str | None]) -> dict[str, str]:
        """The name behind each pseudonym."""
        return {one: self.names.get(one, ERASED) for one in actor_ids if one}

    async def known_as(self, organisation: str, texts: Iterable[str]) -> dict[str, str]:
        """The pseudonyms of those names that are in the bundle."""
        known = {name: pseudonym for pseudonym, name in self.names.items()}
        return {text: known[text] for text in texts if text in known}


class SpanReferences(References):
    """References to what is in the bundle."""

    first: int

    async def resolve(self, organisation: str, text: str, called: str = "as_of") -> Resolved:
        """As in a store; Invalid before the span, of which only its streams are known."""
        found = await super().resolve(organisation, text, called)
        if found.position < self.first:
            raise Invalid(f"{called} is before position {self.first}, where this bundle begins")
        return found


class NoMappings(BlobMappings):
    """Blobs stay where the bundle is from."""

    def pairs(self, digest: str, table: str) -> AsyncGenerator[Pairs, None]:
        """NotFound, for no blob is here."""
        raise NotFound("A bundle holds no mapping of keys: ask the Rollbook that it is from")


class NoEnvironments(KnownEnvironments):
    """No database of users' is asked from a machine that only looks."""

    async def find(self, organisation: str, name: str) -> KnownEnvironment:
        """NotFound, for nothing leads there."""
        raise NotFound("A bundle leads to no environment: ask the Rollbook that it is from")


@asynccontextmanager
async def answering(bundle: Bundle, owner_url: str, app_url: str, folder: Path) -> AsyncIterator[Rollbook]:
    """The store of a bundle, put into an empty database that has the schema."""
    await fill(bundle, owner_url, app_url)
    manifest = bundle.manifest
    # Nothing that was set for a Rollbook of this machine counts for the bundle.
    facts: dict[str, Any] = {"dev_organisation": manifest.organisation, "data_dir": folder, "_env_file": None}
    app = await build(Settings(auth_enabled=False, **facts), app_url)
    try:
        people = NamedPeople(app.pools, app.people.master)
        people.names = {str(line.get("id")): str(line.get("name")) for line in bundle.lines("people.ndjson")}
        app.people = people
        app.mappings, app.environments = NoMappings(app.mappings.store), NoEnvironments(app.store)
        references = SpanReferences(app.views, app.runs.moment_at)
        references.first = manifest.from_position
        app.references = references
        yield app
    finally:
        await app.close()


async def fill(bundle: Bundle, owner_url: str, app_url: str) -> None:
    """Puts the bundle's lines into the database."""
    async with await psycopg.AsyncConnection.connect(app_url, autocommit=True) as projector:
        await projector.execute("set role rollbook_projector")
        await load(owner_url, projector, bundle)


async def serve(path: Path, port: int, ready: Callable[[Manifest, int], None]) -> None:
    """Serves a bundle on this machine's loopback until Ctrl-C or SIGTERM; nothing of it stays behind."""
    stop = asyncio.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(one, stop.set)
    with opened(path) as bundle, TemporaryDirectory(prefix="rollbook-bundle-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        async with EmbeddedPostgres(folder, settings=CARELESS) as store:
            await migrate(store.owner_url, APP)
            async with answering(bundle, store.owner_url, store.app_url, folder) as app:
                await listen(app, port, stop, lambda at: ready(bundle.manifest, at))


async def listen(app: Rollbook, port: int, stop: asyncio.Event, ready: Callable[[int], None]) -> None:
    """Answers questions until told to stop."""
    listening = server(ReadOnly(app.api()), "127.0.0.1", port, 5)
    serving = asyncio.create_task(listening.serve())
    stopping = asyncio.create_task(stop.wait())
    try:
        while not listening.started and not serving.done():
            await asyncio.sleep(0.01)
        if not listening.started:
            raise BundleRefused(f"Port {port} is in use")
        ready(listening.servers[0].sockets[0].getsockname()[1])
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        listening.should_exit = True
        await asyncio.wait_for(serving, 10)
