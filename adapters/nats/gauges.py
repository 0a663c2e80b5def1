"""What the relay tells Prometheus."""

from prometheus_client import Gauge

RELAY_LAG = Gauge("rollbook_relay_lag_events", "Events of the log that the feed does not have yet.")
RELAY_POSITION = Gauge("rollbook_relay_position", "Position in the log up to which the feed is complete.")
