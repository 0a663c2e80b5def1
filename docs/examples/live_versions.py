"""Keeps a table of what is live where: python live_versions.py URL ORGANISATION DATABASE.

The first time it reads everything that was ever recorded, then it goes on with what happens. Stop it, kill it, start it
again: it goes on where it was.
"""

import sqlite3
import sys

from rollbook_subscriber import EpochChanged, Event, Subscriber

TABLES = (
    "create table if not exists releases (stream text primary key, component text, environment text, version text)",
    "create table if not exists live (component text, environment text, version text, since text, "
    "primary key (component, environment))",
    "create table if not exists happened (topic text primary key, times integer not null)",
)


def handle(connection: sqlite3.Connection, event: Event) -> None:
    """Everything that is done here is committed together with the place in the feed."""
    counted = "insert into happened values (?, 1) on conflict (topic) do update set times = times + 1"
    connection.execute(counted, (event.topic,))
    if event.topic == "deployment.scheduled":
        release = event.payload["release"]
        facts = (event.stream, event.payload["taxonomy"]["name"], release["environment"], release["version"])
        connection.execute("insert into releases values (?, ?, ?, ?)", facts)
    if event.topic == "deployment.deployed":
        now_live = (
            "insert or replace into live select component, environment, version, ? from releases where stream = ?"
        )
        connection.execute(now_live, (event.occurred_at, event.stream))


def main(url: str, organisation: str, database: str) -> None:
    """Runs until it is stopped."""
    connection = sqlite3.connect(database)
    for table in TABLES:
        connection.execute(table)
    subscriber = Subscriber(url, "live-versions", organisation=organisation, topic="deployment.*")
    while True:
        try:
            return subscriber.run(connection, handle)
        except EpochChanged:
            for table in ("releases", "live", "happened"):
                connection.execute(f"delete from {table}")
            subscriber.forget(connection)
            connection.commit()


if __name__ == "__main__":
    main(*sys.argv[1:])
