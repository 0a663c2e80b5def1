"""What workers get for the name of an environment: a source and a target, with no more rights than they need."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.databases.kinds import KINDS
from adapters.databases.postgresql.reading import PostgresSource
from adapters.environments import KnownEnvironment, KnownEnvironments
from application.ports.databases import DeployOptions, Order, Selection
from domain.dataset import DatabaseKind
from domain.errors import Invalid, NotFound
from tests.conftest import Database
from tests.environments.conftest import PASSWORD, Environments

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def rows(source: Any, table: str = "products") -> list[bytes]:
    """The rows of a table."""
    async with source.read(Selection(tables=(table,))) as reading:
        return [line async for lines in reading.rows(table) for line in lines]


async def test_an_environment_is_a_source_and_a_target(environments: Environments, owner: str) -> None:
    await environments.add(dsn=environments.keep("staging", owner))
    found = await environments.find()
    assert (found.name, found.kind) == ("staging", DatabaseKind.POSTGRESQL)
    assert found.database_name == psycopg.conninfo.conninfo_to_dict(owner)["dbname"]
    assert await rows(found.source()) == [b'["a"]']
    assert "products" in await found.target().catalog()


async def test_packing_goes_through_the_reader_where_there_is_one(
    environments: Environments, owner: str, reader: str
) -> None:
    await environments.add(dsn=environments.keep("dsn", owner), reader_dsn=environments.keep("reader", reader))
    found = await environments.find()
    assert isinstance(source := found.source(), PostgresSource)
    assert source.dsn == reader
    assert await rows(source) == [b'["a"]']


async def test_what_the_operator_configured_is_found(configured: Environments, owner: str) -> None:
    for name in ("staging", "production"):
        assert (await configured.find(name)).dsn == owner
    with pytest.raises(NotFound, match="production"):
        await configured.elsewhere.find("production")


async def test_one_of_its_own_hides_that_of_everybody(environments: Environments, tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    entry = "{{name: staging, kind: postgresql, dsn: dbname={0}, organisation: {1}}}"
    file.write_text(f"- {entry.format('own', 'acme')}\n- {entry.format('all', 'null')}\n")
    known = KnownEnvironments(environments.rollbook.app.store, file)
    assert (await known.find("acme", "staging")).dsn == "dbname=own"
    assert (await known.find("globex", "staging")).dsn == "dbname=all"


async def test_another_process_sees_a_change_at_once(environments: Environments) -> None:
    await environments.add(dsn=environments.keep("one", "dbname=one"))
    other = KnownEnvironments(environments.rollbook.app.store, secrets=environments.folder)
    assert (await other.find(environments.organisation, "staging")).dsn == "dbname=one"
    await environments.ask("PUT", "/staging", json={"dsn": environments.keep("two", "dbname=two")})
    assert (await other.find(environments.organisation, "staging")).dsn == "dbname=two"


@pytest.mark.parametrize("name", ["unknown", "", "a/b", "a\0", "\ud800", "x" * 5000])
async def test_what_is_not_there_is_not_found(environments: Environments, name: str) -> None:
    with pytest.raises(NotFound):
        await environments.find(name)


async def test_a_secret_that_is_not_there_is_named(environments: Environments) -> None:
    await environments.add("a", dsn="file:nothing")
    await environments.add("b", dsn=environments.variable("NOTHING"))
    for name, missing in (("a", "nothing cannot be read"), ("b", "NOTHING is not set")):
        with pytest.raises(Invalid, match=f"'{name}': .*{missing}"):
            await environments.find(name)
        await environments.ask("POST", f"/{name}/test", expect=400)


async def test_where_the_operators_secrets_should_be_is_told_to_nobody(
    environments: Environments, tmp_path: Path
) -> None:
    file = tmp_path / "missing.yaml"
    file.write_text(
        "- {name: a, kind: postgresql, dsn: 'env:HIDDEN_NAME'}\n- {name: b, kind: mysql, dsn: 'file:hidden'}"
    )
    known = KnownEnvironments(environments.rollbook.app.store, file)
    for name in ("a", "b"):
        with pytest.raises(Invalid) as refused:
            await known.find("acme", name)
        assert "hidden" not in refused.value.message.lower()


async def test_a_secret_that_is_no_address_of_the_kind_is_refused_unrepeated(environments: Environments) -> None:
    for kind, dsn in (
        ("postgresql", PASSWORD),
        ("postgresql", f"mysql://ann:{PASSWORD}@host/shop"),
        ("mysql", f"postgresql://ann:{PASSWORD}@host/shop"),
        ("mysql", f"mysql://ann:{PASSWORD}@host/"),
        ("mysql", f"mysql://ann:{PASSWORD}@host:port/shop"),
        ("mongodb", f"mongodb://ann:{PASSWORD}@host:27017"),
        ("mongodb", PASSWORD),
    ):
        name = f"e{len(await environments.names())}"
        await environments.add(name, dsn=environments.keep(name, dsn), kind=kind)
        with pytest.raises(Invalid) as refused:
            await environments.find(name)
        assert PASSWORD not in str(refused.value) and f"'{name}'" in str(refused.value)


async def test_no_text_of_an_environment_holds_its_secret(environments: Environments, owner: str) -> None:
    await environments.add(dsn=environments.keep("dsn", owner), reader_dsn="file:dsn")
    found = await environments.find()
    for one in (found, found.source(), found.target(), environments.rollbook.app.environments):
        assert PASSWORD not in repr(one) + str(one)


async def test_an_event_store_is_neither_a_target_nor_a_source(environments: Environments, database: Database) -> None:
    class Nothing:
        tables = ()
        match_keys: dict[str, tuple[str, ...]] = {}

    for number, dsn in enumerate((database.app_url, database.owner_url, database.admin_url)):
        name = f"own-{number}"
        await environments.add(name, dsn=environments.keep(name, dsn))
        found = await environments.find(name)
        with pytest.raises(Invalid, match="event store"):
            await found.target().deploy(Nothing(), Order("d", "p", DeployOptions()), lambda *_: None)  # type: ignore[arg-type]
        with pytest.raises(Invalid, match="event store"):
            await found.target().catalog()
        with pytest.raises(Invalid, match="event store"):
            await rows(found.source(), "events")


async def ask(source: PostgresSource, query: str) -> Any:
    """What a connection for packing answers."""
    async with source.connected() as connection:
        return await (await connection.execute(query.encode())).fetchone()


async def test_a_superuser_packs_as_who_can_only_read(shop: str) -> None:
    source = PostgresSource(shop)
    assert await rows(source) == [b'["a"]']
    assert await ask(source, "select current_user::text, session_user::text") == ("pg_read_all_data", "postgres")
    for forbidden in (
        "copy public.products to program 'true'",
        "select pg_read_file('PG_VERSION')",
        "delete from public.products",
    ):
        with pytest.raises(Invalid, match="permission denied"):
            await ask(source, forbidden)


async def test_who_has_few_rights_keeps_them(reader: str) -> None:
    assert await ask(PostgresSource(reader), "select current_user = session_user") == (True,)


async def test_where_policies_choose_rows_a_superuser_still_packs_all(shop: str) -> None:
    with psycopg.connect(shop, autocommit=True) as admin:
        admin.execute("alter table products enable row level security")
    assert await rows(PostgresSource(shop)) == [b'["a"]']


@pytest.mark.parametrize(
    ("kind", "dsn"),
    [
        (DatabaseKind.POSTGRESQL, "dbname=shop"),
        (DatabaseKind.MYSQL, "mysql://host/shop"),
        (DatabaseKind.MONGODB, "mongodb://host/shop"),
    ],
)
async def test_every_kind_has_a_source_a_target_and_a_way_to_try_it(kind: DatabaseKind, dsn: str) -> None:
    found = KnownEnvironment("staging", kind, dsn)
    assert (found.source().kind, found.target().kind, found.database_name) == (kind, kind, "shop")
    assert callable(KINDS[kind].probe)
