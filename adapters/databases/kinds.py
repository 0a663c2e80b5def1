"""Every kind of database that packages move between; a new one is its adapters and one line here."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pkgutil import resolve_name

from application.ports.databases import Source, Target
from application.ports.environments import Access
from domain.dataset import DatabaseKind

DATABASES = "adapters.databases."


@dataclass(frozen=True, slots=True)
class Kind:
    """Where the adapters of a kind are, as `module:name` under adapters.databases; imported when they are needed."""

    module: str
    source: str
    target: str

    def open_source(self, dsn: str) -> Source:
        """For packing."""
        found: Source = resolve_name(DATABASES + self.source)(dsn)
        return found

    def open_target(self, dsn: str) -> Target:
        """For deploying."""
        found: Target = resolve_name(DATABASES + self.target)(dsn)
        return found

    @property
    def probe(self) -> Callable[[str], Awaitable[Access]]:
        """Tries a DSN."""
        found: Callable[[str], Awaitable[Access]] = resolve_name(f"{DATABASES}probing.{self.module}:probe")
        return found

    @property
    def database_name(self) -> Callable[[str], str]:
        """What a DSN calls its database; ValueError when it is no DSN of this kind."""
        found: Callable[[str], str] = resolve_name(f"{DATABASES}probing.{self.module}:database_name")
        return found


KINDS: Mapping[DatabaseKind, Kind] = {
    DatabaseKind.POSTGRESQL: Kind(
        "postgresql", "postgresql.reading:PostgresSource", "postgresql.target:PostgresTarget"
    ),
    DatabaseKind.MYSQL: Kind("mysql", "mysql.reading:MysqlSource", "mysql.target:MysqlTarget"),
    DatabaseKind.MONGODB: Kind("mongodb", "mongodb.reading:MongoSource", "mongodb.target:MongoTarget"),
}
