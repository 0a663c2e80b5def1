"""Puts the feed together as the settings want it."""

from adapters.feed.broadcast import Broadcast
from adapters.feed.past import Past
from adapters.feed.streams import Streams
from adapters.feed.subscription import Feed, Limits
from adapters.feed.telling import Teller
from adapters.postgres.log import PostgresLog
from adapters.postgres.pools import Pools
from adapters.record_settings import RecordSettings


def feed_of(settings: RecordSettings, pools: Pools, log: PostgresLog, identity: tuple[str, int], mark: str) -> Feed:
    """What subscribers over HTTP read; `mark` stands behind positions of this epoch."""
    limits = Limits(
        settings.feed_subscribers, settings.feed_subscribers_per_organisation, settings.feed_heartbeat_seconds
    )
    epoch = identity[1]
    return Feed(Broadcast(log, identity), Past(pools, epoch), Streams(pools), Teller(epoch, mark), limits)
