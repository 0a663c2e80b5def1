"""Builds everything: the only place that knows which adapter stands behind which port."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from adapters import tracing
from adapters.blobs.choosing import blobs_of, file_blobs_of, log_blobs_of
from adapters.embedded.room import Room
from adapters.environments import KnownEnvironments
from adapters.feed.choosing import feed_of
from adapters.feed.subscription import Feed
from adapters.identity.web import Web
from adapters.keyring import master_key
from adapters.nats.relay import Relay
from adapters.nats.twin_relay import TwinRelay
from adapters.packages.choosing import PackageFiles, files_of
from adapters.packages.exporting import Exporter
from adapters.packages.keeping import BlobPackages
from adapters.packages.mappings import BlobMappings
from adapters.packages.selecting import Selecting
from adapters.postgres.chains import Chains
from adapters.postgres.checkpoints import Checkpoints
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.job_logs import JobLogs
from adapters.postgres.job_runs import JobRuns
from adapters.postgres.leases import Leases
from adapters.postgres.log import PostgresLog
from adapters.postgres.people import People
from adapters.postgres.pools import Pools
from adapters.postgres.projector import Projector
from adapters.postgres.references import References
from adapters.postgres.twin_facts import TwinFacts
from adapters.postgres.views import PostgresViews, Visibility
from adapters.settings import Settings
from adapters.uploads import Uploads, uploads_of
from adapters.webhooks.addresses import Addresses
from adapters.webhooks.together import Webhooks
from application.execution import Executor
from application.gates import LENIENT
from application.handlers import Handler
from application.organisations import Owners
from application.ports.event_store import Appended, Commit
from domain.organisation import Organisation
from domain.rules import HouseRules, Rules
from entrypoints.http.api import Api, Hooks, Limits
from entrypoints.http.authentication import Authentication
from entrypoints.http.commands import authenticated, authorised
from entrypoints.http.counting import Counting
from entrypoints.http.documentation import documentation
from entrypoints.http.epochs import mark_of
from entrypoints.http.interfaces import INTERFACES
from entrypoints.http.limits import RateLimits
from entrypoints.http.observing import observe
from entrypoints.http.recent import RecentRows
from entrypoints.http.rendering import as_users_know_it
from entrypoints.http.traced import Traced
from entrypoints.job_handlers import handlers_of, selecting
from entrypoints.trust import authentication_of
from projections.read_model import Row
from projections.registry import READ_MODELS

RULES_REMEMBERED_SECONDS = 2.0
BUNDLES_AT_ONCE = 2


@dataclass(slots=True)
class Rollbook:
    """Everything that one process needs to answer requests and to follow the log.

    `identity` is the store's id and epoch: in another epoch nothing that is remembered here holds any more.
    """

    settings: Settings
    pools: Pools
    log: PostgresLog
    identity: tuple[str, int]
    store: PostgresEventStore
    executor: Executor
    views: PostgresViews
    visibility: Visibility
    people: People
    leases: Leases
    runs: JobRuns
    logs: JobLogs
    environments: KnownEnvironments
    packages: BlobPackages
    files: PackageFiles
    authentication: Authentication
    web: Web
    limits: RateLimits
    count: Counting
    recent: RecentRows = field(default_factory=RecentRows)
    rules: dict[str, tuple[float, HouseRules]] = field(default_factory=dict)
    bundling: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(BUNDLES_AT_ONCE))
    mappings: BlobMappings = field(init=False)
    exporter: Exporter = field(init=False)
    uploads: Uploads = field(init=False)
    select: Selecting = field(init=False)
    handlers: dict[str, Handler] = field(init=False)
    owners: Owners = field(init=False)
    feed: Feed = field(init=False)
    webhooks: Webhooks = field(init=False)
    chains: Chains = field(init=False)
    checkpoints: Checkpoints = field(init=False)
    references: References = field(init=False)

    def __post_init__(self) -> None:
        self.mappings = BlobMappings(self.packages.store)
        files = file_blobs_of(self.settings, self.settings.data_dir)
        self.exporter = Exporter(self.packages, files, self.pools, self.files.signer)
        self.uploads = uploads_of(self.settings, self.pools, self.packages.store)
        self.select = selecting(self)
        self.handlers = handlers_of(self)
        self.owners = Owners(self.store, time.monotonic)
        self.feed = feed_of(self.settings, self.pools, self.log, self.identity, mark_of(self.identity[1]))
        self.webhooks = webhooks_of(self.settings, self.pools, self.log, self.people)
        self.chains = Chains(self.pools)
        self.checkpoints = Checkpoints(self.pools)
        self.references = References(self.views, self.runs.moment_at)

    async def rules_of(self, organisation: str, fresh: bool = False) -> HouseRules:
        """The organisation's rules, at most two seconds old; who may do what changes within that."""
        known = self.rules.get(organisation)
        if known and not fresh and known[0] > time.monotonic():
            return known[1]
        stream_id = f"rules-{Rules.id_of(organisation)}"
        found = (await self.store.load(organisation, [stream_id])).get(stream_id)
        rules: HouseRules = found.rules if found else LENIENT
        self.rules[organisation] = (time.monotonic() + RULES_REMEMBERED_SECONDS, rules)
        return rules

    async def rules_at(self, organisation: str, position: int) -> HouseRules:
        """The organisation's rules as they were at a position."""
        found = await self.store.load_at(organisation, f"rules-{Rules.id_of(organisation)}", position)
        return found.rules if found else LENIENT

    async def owner_at(self, organisation: str, position: int) -> str | None:
        """Whom the organisation's name belonged to at a position; None while it was nobody's."""
        stream_id = f"organisation-{Organisation.id_of(organisation)}"
        found = await self.store.load_at(organisation, stream_id, position)
        owner: str | None = found.owner if found else None
        return owner

    async def render(self, organisation: str, rows: list[Row]) -> list[dict[str, Any]]:
        """Deployments as their users know them, with logins in the place of pseudonyms."""
        names = await self.people.logins_of(organisation, {row["actor"] for row in rows})
        return [as_users_know_it(row, names[row["actor"]]) for row in rows]

    def api(self) -> Api | Traced:
        """The ASGI application of all interfaces."""
        hooks = Hooks(authenticated, authorised, observe, tracing.traceparent_of, lambda: self.pools.losses)
        s = self.settings
        limits = Limits(s.max_body_bytes, s.max_json_depth, s.request_timeout_seconds)
        api = Api([*INTERFACES, documentation(INTERFACES)], self, hooks, limits, self.identity_headers())
        return Traced(api) if tracing.exporting() else api

    def identity_headers(self) -> dict[str, str]:
        """Tells every caller which log answers: positions of another epoch are those of a log that is no more."""
        store_id, epoch = self.identity
        return {"x-rollbook-store": store_id, "x-rollbook-epoch": str(epoch)}

    def projector(self) -> Projector:
        """Keeps all read models, and lets go the readers of this process that wait for it."""
        projector = Projector(self.pools, self.log, READ_MODELS, self.settings.projection_batch)
        projector.on_progress.append(self.visibility.advance)
        return projector

    def relay(self, nats_url: str) -> Relay:
        """Copies the log to NATS."""
        return Relay(self.log, nats_url, window=self.settings.relay_window)

    def twin_relay(self, nats_url: str) -> TwinRelay:
        """Tells the log in the words of CDEvents."""
        return TwinRelay(self.log, TwinFacts(self.store), nats_url, window=self.settings.relay_window)

    async def close(self) -> None:
        """Waits for what is under way, then lets go of everything."""
        await self.feed.close()
        await self.store.close()
        await self.authentication.aclose()
        await self.web.aclose()
        await self.log.close()
        await self.pools.close()


async def build(settings: Settings, database_url: str) -> Rollbook:
    """Connects to the database and puts everything together; the caller closes it."""
    pools = Pools.of(database_url, settings.pool_size)
    await pools.open()
    log = PostgresLog(pools, database_url)
    identity = await log.identity()
    store = PostgresEventStore(pools, epoch=identity[1], disk_is_full=disk_of(settings))
    blobs = blobs_of(settings, settings.data_dir)
    visibility, web, count = Visibility(), Web(), Counting()
    store.on_appended += [waker(log), count.appended]
    return Rollbook(
        settings=settings,
        pools=pools,
        log=log,
        store=store,
        executor=Executor(store, log.clock.now),
        views=PostgresViews(pools, visibility, settings.read_wait_ms, identity[1]),
        visibility=visibility,
        people=people(settings, pools),
        leases=Leases(pools),
        runs=JobRuns(pools),
        logs=JobLogs(JobRuns(pools), log_blobs_of(settings, settings.data_dir)),
        environments=KnownEnvironments(store, settings.environments_file, settings.environment_secrets_dir),
        packages=BlobPackages(blobs),
        files=files_of(settings, settings.data_dir, blobs),
        authentication=authentication_of(settings, pools, web),
        web=web,
        identity=identity,
        limits=RateLimits(settings.rate_limit_per_minute, settings.rate_limit_address_per_minute),
        count=count,
    )


def waker(log: PostgresLog) -> Callable[[Commit, Appended], None]:
    """Tells followers of the log here at once what was appended here."""
    return lambda _, appended: log.wake(appended.position)


def webhooks_of(settings: Settings, pools: Pools, log: PostgresLog, people: People) -> Webhooks:
    """Deliveries to public addresses, and to the networks that the settings list."""
    addresses = Addresses(settings.webhook_allowed_networks)
    return Webhooks.of(pools, log, people, addresses, settings.webhook_timeout_seconds)


def people(settings: Settings, pools: Pools) -> People:
    """What is personal, under the master key that the settings name or the data folder holds."""
    secret = settings.master_key.get_secret_value() if settings.master_key else None
    return People(pools, master_key(secret, settings.data_dir))


def disk_of(settings: Settings) -> Callable[[], bool]:
    """Tells whether our own Postgres's disk is full; another server's we cannot see, until it says so itself."""
    return Room(settings.data_dir).is_full if settings.database_url is None else lambda: False
