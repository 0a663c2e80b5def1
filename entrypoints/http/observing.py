"""Counts requests and attempts to get in, and tells traces how requests ended."""

from functools import cache

from prometheus_client import Counter, Histogram

from adapters import metrics, tracing


def observe(method: str, endpoint: str, status: int, seconds: float) -> None:
    """Counts a request, and says on its span how it ended."""
    tracing.answered(method, endpoint, status)
    requests, durations = request_metrics(method, endpoint, status)
    requests.inc()
    durations.observe(seconds)


@cache
def request_metrics(method: str, endpoint: str, status: int) -> tuple[Counter, Histogram]:
    """The series of one kind of answer, of which there are few."""
    return metrics.HTTP_REQUESTS.labels(method, endpoint, str(status)), metrics.HTTP_SECONDS.labels(method, endpoint)


def count_authentication(method: str, success: bool) -> None:
    """Counts an attempt to get in."""
    metrics.AUTH_REQUESTS.labels(method, str(success).lower()).inc()
