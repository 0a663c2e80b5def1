"""An environment: a database that packages come from and go to, known by name; its secrets stay outside."""

import re
from datetime import datetime
from functools import singledispatch
from typing import Any
from uuid import UUID, uuid5

from eventsourcing.domain import AggregateCreated, AggregateEvent, BaseAggregate

from domain.dataset import DatabaseKind
from domain.errors import Clash, Invalid, NotFound

ENVIRONMENTS = UUID("5d0c2c11-7a0e-5b43-9a53-3f0b8a6c7e09")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Environment(BaseAggregate[UUID]):
    """Decides whether a name is in use. Both `dsn` are references to secrets (`env:NAME`, `file:NAME`), never DSNs."""

    TOPIC = "environment"

    class Event(AggregateEvent):
        """Something that happened to an environment."""

        def apply(self, aggregate: Any) -> None:
            evolve(self, aggregate)

    class Opened(Event, AggregateCreated):
        """The name is used for the first time."""

        TOPIC = "environment.opened"
        organisation: str
        name: str

    class Added(Event):
        """The name stands for a database. None as `reader_dsn`: packing goes through `dsn` too."""

        TOPIC = "environment.added"
        kind: DatabaseKind
        dsn: str
        reader_dsn: str | None

    class Changed(Event):
        """Its secrets are found elsewhere."""

        TOPIC = "environment.changed"
        dsn: str
        reader_dsn: str | None

    class Removed(Event):
        """The name stands for nothing any more, until it is added again."""

        TOPIC = "environment.removed"

    @staticmethod
    def id_of(organisation: str, name: str) -> UUID:
        """Each name has one stream in its organisation, so that no two environments can have it."""
        return uuid5(ENVIRONMENTS, f"{organisation}\0{name}")

    @classmethod
    def open(cls, organisation: str, name: str, at: datetime) -> "Environment":
        """A name that stands for nothing yet."""
        if not NAME.fullmatch(name):
            raise Invalid("name must be 1 to 100 letters, digits, '.', '_' and '-', and begin with a letter or digit")
        facts = {"organisation": organisation, "name": name}
        return cls._create(cls.Opened, id=cls.id_of(organisation, name), timestamp=at, **facts)

    def add(self, kind: DatabaseKind, dsn: str, reader_dsn: str | None, at: datetime) -> None:
        """Lets the name stand for a database; Clash while it stands for one."""
        if self.kind:
            raise Clash(f"There is an environment '{self.name}' already")
        self.check_references(dsn, reader_dsn)
        self.trigger_event(self.Added, timestamp=at, kind=kind, dsn=dsn, reader_dsn=reader_dsn)

    def change(self, dsn: str, reader_dsn: str | None, at: datetime) -> None:
        """Names other secrets; nothing happens when they are the same."""
        self.check_present()
        self.check_references(dsn, reader_dsn)
        if (dsn, reader_dsn) != (self.dsn, self.reader_dsn):
            self.trigger_event(self.Changed, timestamp=at, dsn=dsn, reader_dsn=reader_dsn)

    def remove(self, at: datetime) -> None:
        """Frees the name."""
        self.check_present()
        self.trigger_event(self.Removed, timestamp=at)

    def check_present(self) -> None:
        """NotFound when the name stands for nothing."""
        if self.kind is None:
            raise unknown(self.name)

    def check_references(self, *references: str | None) -> None:
        """Invalid when one is none of this organisation's."""
        for reference in references:
            if reference is not None:
                check_reference(self.organisation, reference)

    def __init__(self, organisation: str, name: str) -> None:
        self.organisation = organisation
        self.name = name
        self.kind: DatabaseKind | None = None
        self.dsn = ""
        self.reader_dsn: str | None = None


@singledispatch
def evolve(event: AggregateEvent, environment: Environment) -> None:
    """How each event changes the state."""


@evolve.register
def _(event: Environment.Added, environment: Environment) -> None:
    environment.kind, environment.dsn, environment.reader_dsn = event.kind, event.dsn, event.reader_dsn


@evolve.register
def _(event: Environment.Changed, environment: Environment) -> None:
    environment.dsn, environment.reader_dsn = event.dsn, event.reader_dsn


@evolve.register
def _(event: Environment.Removed, environment: Environment) -> None:
    environment.kind = None


def unknown(name: str) -> NotFound:
    """The refusal of who asks for an environment that is not there."""
    return NotFound(f"Environment '{name}' not found")


VARIABLE = re.compile(r"env:(ROLLBOOK_ENV_[A-Z0-9_]{1,200})")
FILE = re.compile(r"file:([A-Za-z0-9][A-Za-z0-9._-]{0,99})")
# In such a name no two hyphens meet, so that the first double underscore in a variable ends the organisation's part.
SIMPLE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def check_reference(organisation: str, reference: str) -> None:
    """Invalid unless this organisation may name this secret; the refusal does not repeat what may be a secret itself.

    No variable is two organisations': ACME__X is acme's, and MY_SHOP__X is that of my-shop alone.
    """
    if FILE.fullmatch(reference):
        return
    prefix = variables_of(organisation)
    found = VARIABLE.fullmatch(reference)
    if not (prefix and found and found[1].startswith(prefix) and len(found[1]) > len(prefix)):
        variable = f"env:{prefix}NAME (capitals, digits and underscores) or " if prefix else ""
        raise Invalid(f"dsn and reader_dsn must be references to secrets: {variable}file:NAME, never a DSN itself")


def variables_of(organisation: str) -> str | None:
    """How the names of an organisation's variables begin; None for a name that cannot be written so."""
    if not SIMPLE.fullmatch(organisation):
        return None
    return f"ROLLBOOK_ENV_{organisation.upper().replace('-', '_')}__"
