"""What is counted for Prometheus; PROMETHEUS_MULTIPROC_DIR, read at import, sums it over processes."""

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

ORGANISATIONS = 1000
PLACES = 1000
LONGEST_ENVIRONMENT = 100
ENVIRONMENTS = 20
OTHER = "other"
FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LONG = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
# When each counter was made is a series of its own that nobody asks for. The library gives this function no types.
disable_created_metrics()  # type: ignore[no-untyped-call]


def fact(name: str, description: str) -> Gauge:
    """A gauge of what is true of the store, whoever looks: over several processes the last to look is right."""
    return Gauge(name, description, multiprocess_mode="mostrecent")


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
STORE_UP = fact("rollbook_store_up", "1 while the event store answers, else 0")
PROJECTION_POSITION = fact("rollbook_projection_position", "Position up to which the read models are complete")
PROJECTION_LAG = fact("rollbook_projection_lag_events", "Events of the log that the read models lack")
PARKED_STREAMS = fact("rollbook_parked_streams", "Streams that a fault of ours has parked")
QUEUE_AGE = fact("rollbook_queue_age_seconds", "Age of the oldest scheduled deployment, 0 when none waits")
RELAY_LAG = fact("rollbook_relay_lag_events", "Events of the log that the feed does not have yet")
RELAY_POSITION = fact("rollbook_relay_position", "Position in the log up to which the feed is complete")
FEED_SUBSCRIBERS = Gauge(
    "rollbook_feed_subscribers", "Who reads the feed over HTTP now, of all processes", multiprocess_mode="livesum"
)
FEED_DROPPED = Counter("rollbook_feed_dropped_total", "Subscribers over HTTP that were let go as too slow")
CHECKPOINT_POSITION = fact("rollbook_checkpoint_position", "Position up to which the log is sealed")
CHECKPOINT_AGE = fact(
    "rollbook_checkpoint_age_seconds", "Age of the oldest event that no checkpoint seals yet, 0 when all are sealed"
)
CHECKPOINT_EXPORT_LAG = Gauge(
    "rollbook_checkpoint_export_lag", "Checkpoints that did not get there yet", ["to"], multiprocess_mode="mostrecent"
)

WEBHOOK_DELIVERIES = Counter(
    "rollbook_webhook_deliveries_total", "Tries at deliveries of webhooks, by what came of them", ["outcome"]
)
for _outcome in ("delivered", "failed", "dead"):
    WEBHOOK_DELIVERIES.labels(_outcome)
WEBHOOK_WAITING = fact("rollbook_webhook_waiting", "Deliveries that wait, of webhooks that are not paused")
WEBHOOK_DEAD = fact("rollbook_webhook_dead", "Deliveries that were given up and are kept for being sent once more")
WEBHOOK_LAG = fact("rollbook_webhook_lag_seconds", "Age of the delivery that has waited longest, 0 when none waits")

JOBS_WAITING = fact("rollbook_jobs_waiting", "Jobs that may start and wait for a worker")
JOBS_RUNNING = fact("rollbook_jobs_running", "Jobs that workers have")
JOB_AGE = fact("rollbook_job_age_seconds", "For how long one of the waiting jobs could have started, 0 when none waits")
JOB_WAIT_SECONDS = Histogram(
    "rollbook_job_wait_seconds", "Time from when a job may start to its start", ["handler"], buckets=LONG
)
JOB_SECONDS = Histogram("rollbook_job_seconds", "Time of one try at a job", ["handler"], buckets=LONG)
JOB_TRIES = Counter("rollbook_job_tries_total", "Tries at jobs, by what the job was afterwards", ["handler", "status"])

_seen: dict[str, set[str]] = {}


def organisation(name: str) -> str:
    """The organisation as a label: the first thousand are told apart."""
    return bounded("organisation", name, ORGANISATIONS)


def place(name: str, provider: str, environment: str) -> tuple[str, str, str]:
    """Organisation, provider and environment as labels.

    No organisation takes more than a few environments, all of them together not more than a thousand, none a long one.
    """
    known = organisation(name)
    label = environment if len(environment) <= LONGEST_ENVIRONMENT else OTHER
    environment = bounded(f"environment of {known}", label, ENVIRONMENTS)
    if bounded("place", f"{known}\n{environment}", PLACES) == OTHER:
        environment = OTHER
    return known, provider, environment


def bounded(kind: str, value: str, most: int) -> str:
    """The value as a label: so many different ones of a kind are told apart, the rest is `other`."""
    seen = _seen.setdefault(kind, set())
    if value not in seen:
        if len(seen) >= most:
            return OTHER
        seen.add(value)
    return value
