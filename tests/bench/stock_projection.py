"""The stock projection runner over the stock application: a read model of deployments that keeps no versions."""

import json
import os
import sys
from itertools import islice
from time import monotonic, perf_counter, sleep
from typing import Any

from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.sql import SQL, Identifier

from domain.deployment import Deployment
from tests.bench.seed import History
from tests.reference.stock import Stock, stock_environment, stock_on

STEPS_A_SAVE = 50
STATUSES = {"Started": "in_progress", "Deployed": "deployed", "Failed": "failed", "Skipped": "skipped"}


class Rows(PostgresTrackingRecorder):
    """The table, and where the runner is."""

    def __init__(self, datastore: PostgresDatastore, **kwargs: Any) -> None:
        super().__init__(datastore, **kwargs)
        table = Identifier(self.datastore.schema, "deployment_rows")
        columns = "id uuid primary key, created_at timestamptz, name text, version text, environment text, status text"
        self.sql_create_statements.append(SQL("create table if not exists {} (" + columns + ")").format(table))
        self.insert_row = SQL("insert into {} values (%s, %s, %s, %s, %s, 'scheduled')").format(table)
        self.update_row = SQL("update {} set status = %s where id = %s").format(table)

    def write(self, statement: Any, values: list[Any], tracking: Tracking) -> None:
        """One event, in a transaction with its tracking, as the library's guide does it."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            if statement is not None:
                cursor.execute(statement, values, prepare=True)


class DeploymentRows(Projection[Rows]):
    """Follows the application."""

    name = "deployment_rows"

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """A row a deployment; other events only move the tracking."""
        statement, values = None, []
        if isinstance(domain_event, Deployment.Scheduled):
            where, what = domain_event.taxonomy, domain_event.release
            statement = self.view.insert_row
            values = [domain_event.originator_id, domain_event.timestamp, where.name, what.version, what.environment]
        elif status := STATUSES.get(type(domain_event).__name__):
            statement, values = self.view.update_row, [status, domain_event.originator_id]
        self.view.write(statement, values, tracking)


def fill(application: Stock, events: int) -> None:
    """The same history as ours, saved by the stock recorder."""
    steps = History().steps()
    done = 0
    while done < events:
        touched: dict[Any, Any] = {}
        for step in islice(steps, STEPS_A_SAVE):
            touched |= {one.id: one for one in (step.deployment, *step.skipped, step.lane)}
        done += sum(len(one.pending_events) for one in touched.values())
        application.save(*touched.values())


def run(url: str, events: int) -> dict[str, float]:
    """Events a second from the first to the last."""
    application = stock_on(url)
    fill(application, events)
    last = application.recorder.max_notification_id() or 0
    started = perf_counter()
    until = monotonic() + 300
    runner = ProjectionRunner(
        application_class=Stock, projection_class=DeploymentRows, view_class=Rows, env=stock_environment(url)
    )
    with runner:
        while (runner.view.max_tracking_id(application.name) or 0) < last:
            if runner.is_interrupted.is_set() or monotonic() > until:
                raise RuntimeError("the stock projection runner did not finish")
            sleep(0.05)
    return {"events": last, "seconds": perf_counter() - started}


if __name__ == "__main__":
    json.dump(run(os.environ["BENCH_DATABASE_URL"], int(sys.argv[1])), sys.stdout)
