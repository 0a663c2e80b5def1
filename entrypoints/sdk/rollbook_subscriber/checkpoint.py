"""Keeps how far a subscriber has come in its own database, in the transaction that holds what it made of the events."""

from dataclasses import dataclass
from typing import Any

TABLE = """create table if not exists rollbook_checkpoints (
    subscriber text primary key, place text not null, store text not null, epoch integer not null)"""


class Overtaken(Exception):
    """Another process goes on under the same name: its work counts, this one's was taken back."""


@dataclass(frozen=True)
class Checkpoint:
    """A place in the feed of one store in one epoch."""

    place: str
    store: str
    epoch: int


class Checkpoints:
    """The checkpoint of one subscriber, over a psycopg or a sqlite3 connection."""

    def __init__(self, connection: Any, name: str) -> None:
        self.connection = connection
        self.name = name
        self.is_sqlite = type(connection).__module__.startswith("sqlite3")
        if not self.is_sqlite and getattr(connection, "autocommit", False):
            raise ValueError("The connection commits by itself: open it with autocommit=False")

    def prepare(self) -> Checkpoint | None:
        """The last checkpoint; None at the very beginning. Makes the table where it is missing."""
        self.begin()
        self.execute(TABLE)
        query = "select place, store, epoch from rollbook_checkpoints where subscriber = ?"
        row = self.execute(query, self.name).fetchone()
        self.commit()
        return Checkpoint(*row) if row else None

    def begin(self) -> None:
        """Opens a transaction, unless one is open; psycopg does that by itself."""
        if self.is_sqlite and not self.connection.in_transaction:
            self.connection.execute("begin immediate")

    def save(self, before: Checkpoint | None, after: Checkpoint) -> None:
        """Moves the checkpoint on, within the open transaction; Overtaken when it is not where it was left."""
        if before is None:
            query = "insert into rollbook_checkpoints values (?, ?, ?, ?) on conflict do nothing"
            done = self.execute(query, self.name, after.place, after.store, after.epoch)
        else:
            query = """update rollbook_checkpoints set place = ?, store = ?, epoch = ?
                        where subscriber = ? and place = ? and epoch = ?"""
            places = (after.place, after.store, after.epoch, self.name, before.place, before.epoch)
            done = self.execute(query, *places)
        if done.rowcount != 1:
            raise Overtaken(f"Another process goes on as {self.name!r}")

    def forget(self) -> None:
        """Removes the checkpoint, within the open transaction."""
        self.begin()
        self.execute(TABLE)
        self.execute("delete from rollbook_checkpoints where subscriber = ?", self.name)

    def execute(self, query: str, *values: Any) -> Any:
        """Runs a statement in the words of the driver."""
        cursor = self.connection.cursor()
        cursor.execute(query if self.is_sqlite else query.replace("?", "%s"), values)
        return cursor

    def commit(self) -> None:
        """Ends the transaction."""
        self.end("commit")

    def rollback(self) -> None:
        """Takes the transaction back."""
        self.end("rollback")

    def end(self, how: str) -> None:
        """Ends the transaction, if one is open."""
        if not self.is_sqlite:
            getattr(self.connection, how)()
        elif self.connection.in_transaction:
            self.connection.execute(how)
