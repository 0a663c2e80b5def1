"""What is counted for Prometheus; PROMETHEUS_MULTIPROC_DIR, read at import, sums it over processes."""

from prometheus_client import Counter, Gauge, Histogram

DISTINCT = 1000
FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

INFO = Gauge("deployment_queue_info", "Deployment Queue API information", ["version"], multiprocess_mode="max")
HTTP_REQUESTS = Counter("http_requests_total", "Requests answered", ["method", "endpoint", "status_code"])
HTTP_SECONDS = Histogram(
    "http_request_duration_seconds", "Time from request to answer", ["method", "endpoint"], buckets=FAST
)
CREATED = Counter(
    "deployments_created_total", "Deployments queued", ["organisation", "provider", "environment", "trigger"]
)
UPDATED = Counter("deployments_updated_total", "Deployments updated", ["organisation", "status"])
SKIPPED = Counter("deployments_skipped_total", "Deployments skipped as superseded or by report", ["organisation"])
ROLLBACKS = Counter("rollbacks_total", "Rollbacks queued or started", ["organisation", "provider"])
AUTH_REQUESTS = Counter("auth_requests_total", "Attempts to authenticate", ["method", "success"])

EVENTS_APPENDED = Counter("rollbook_events_appended_total", "Events recorded", ["topic"])
APPEND_SECONDS = Histogram("rollbook_append_seconds", "Time of one append call", buckets=FAST)
APPEND_COMMITS = Histogram(
    "rollbook_append_commits", "Commits in one append call", buckets=(1, 2, 4, 8, 16, 32, 64, 128)
)
CONFLICTS = Counter("rollbook_conflicts_total", "Commands decided again because something moved")
PROJECTION_POSITION = Gauge(
    "rollbook_projection_position", "Position up to which the read models are complete", multiprocess_mode="max"
)
PROJECTION_LAG = Gauge(
    "rollbook_projection_lag_events", "Events of the log that the read models lack", multiprocess_mode="max"
)
PARKED_STREAMS = Gauge("rollbook_parked_streams", "Streams that a fault of ours has parked", multiprocess_mode="max")
QUEUE_AGE = Gauge("rollbook_queue_age_seconds", "Age of the oldest scheduled deployment", multiprocess_mode="max")
RELAY_LAG = Gauge(
    "rollbook_relay_lag_events", "Events of the log that the feed does not have yet", multiprocess_mode="max"
)
RELAY_POSITION = Gauge(
    "rollbook_relay_position", "Position in the log up to which the feed is complete", multiprocess_mode="max"
)

_seen: dict[str, set[str]] = {}


def bounded(kind: str, value: str) -> str:
    """The value as a label: the first thousand different ones of a kind are kept, the rest is `other`."""
    seen = _seen.setdefault(kind, set())
    if value not in seen:
        if len(seen) >= DISTINCT:
            return "other"
        seen.add(value)
    return value
