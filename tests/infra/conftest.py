"""Jobs, for the metrics that they leave behind."""

from tests.jobs.conftest import jobs

__all__ = ["jobs"]
