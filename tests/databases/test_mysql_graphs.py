"""Whatever rows refer to each other in whatever way: in another MariaDB database they are the same graph."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.errors import Invalid
from tests.databases.servers import MariaDb, Shop, fresh
from tests.databases.test_mysql_deploying import deploy, differences, pack, roll_back

# Teams have a lead, people a team and perhaps a boss; badges have a kept key, entries one of two parts; in the last
# names are odd.
SCHEMA = """
create table teams (id smallint unsigned auto_increment primary key, name varchar(20) unique, lead_ int null);
create table people (id int auto_increment primary key, team smallint unsigned not null, boss int, tag varchar(20),
                     constraint in_team foreign key (team) references teams (id),
                     constraint under foreign key (boss) references people (id));
alter table teams add constraint led foreign key (lead_) references people (id);
create table badges (code char(36) primary key, person int, foreign key (person) references people (id));
create table entries (person int, day date, code char(36), primary key (person, day),
                      foreign key (person) references people (id), foreign key (code) references badges (code));
create table remarks (person int, day date, body text, foreign key (person, day) references entries (person, day));
create table `sel"ect %s` (`i d` bigint auto_increment primary key, `größe` enum('s', 'it''s, x'), owner char(36),
                           other bigint, doubled bigint as (other * 2) stored, token uuid,
                           foreign key (owner) references badges (code),
                           foreign key (other) references `sel"ect %s` (`i d`))
"""
TABLES = ("teams", "people", "badges", "entries", "remarks", 'sel"ect %s')
GRAPH = (
    "select t.name, p.tag from teams t left join people p on p.id = t.lead_ where t.name like 'n%'",
    """select p.tag, t.name, b.tag from people p join teams t on t.id = p.team left join people b on b.id = p.boss
        where p.tag like 'n%'""",
    "select b.code, p.tag from badges b left join people p on p.id = b.person where b.code like 'n%'",
    "select p.tag, e.day, e.code from entries e join people p on p.id = e.person",
    """select r.body, e.code, p.tag from remarks r left join entries e using (person, day)
        left join people p on p.id = e.person""",
    """select o.`größe`, o.doubled = 2 * o.other, o.token, b.code, p.token, p.`größe` from `sel"ect %s` o
        left join badges b on b.code = o.owner left join `sel"ect %s` p on p.`i d` = o.other
        where o.token is not null""",
)


@st.composite
def companies(draw: st.DrawFn) -> list[str]:
    """Statements that fill the tables, with references in every direction."""
    teams, people = draw(st.integers(1, 4)), draw(st.integers(0, 6))
    badges = draw(st.integers(0, 4)) if people else 0
    someone = st.integers(1, people) if people else st.none()
    made = ["set foreign_key_checks = 0"]
    for n in range(1, teams + 1):
        made.append(f"insert into teams values ({n * 3}, 'n{n}', {sql(draw(st.none() | someone))})")
    for n in range(1, people + 1):
        team, boss = draw(st.integers(1, teams)) * 3, draw(st.none() | someone)
        made.append(f"insert into people values ({n}, {team}, {sql(boss)}, 'n{n}')")
    for n in range(badges):
        made.append(f"insert into badges values ('n{n}', {sql(draw(st.none() | someone))})")
    days = draw(st.lists(st.tuples(someone, st.integers(1, 5)), max_size=6, unique=True)) if people else []
    for person, day in days:
        code = f"'n{draw(st.integers(0, badges - 1))}'" if badges and draw(st.booleans()) else "null"
        made.append(f"insert into entries values ({person}, '2025-01-0{day}', {code})")
    for person, day in draw(st.lists(st.sampled_from(days), max_size=4)) if days else []:
        made.append(f"insert into remarks values ({person}, '2025-01-0{day}', 'x')")
    return made + draw(odd(badges))


@st.composite
def odd(draw: st.DrawFn, badges: int) -> list[str]:
    """Rows of the table with odd names; they refer to each other and to themselves."""
    made, number = [], draw(st.integers(0, 4))
    for n in range(1, number + 1):
        size = draw(st.sampled_from(["null", "'s'", "'it''s, x'"]))
        owner = f"'n{draw(st.integers(0, badges - 1))}'" if badges and draw(st.booleans()) else "null"
        values = f"{n * 7}, {size}, {owner}, {sql(draw(st.none() | st.integers(1, number).map(lambda one: one * 7)))}"
        made.append(f"""insert into `sel"ect %s` (`i d`, `größe`, owner, other, token)
                        values ({values}, 'aaaaaaaa-bbbb-4ccc-8ddd-00000000000{n}')""")
    return made


def sql(value: int | None) -> str:
    """A number or nothing."""
    return "null" if value is None else str(value)


async def graph(shop: Shop) -> list[list[Any]]:
    """The rows without their generated keys."""
    return [sorted(await shop.rows(query), key=repr) for query in GRAPH]


async def emptied(shop: Shop) -> None:
    """No rows, and other keys than elsewhere."""
    async with shop.server.connected(shop.name) as connection:
        await connection.query("set foreign_key_checks = 0")
        for table in TABLES:
            await connection.query(f"delete from `{table}`")


@pytest.fixture
def trying(mariadb: MariaDb) -> Iterator[Callable[[list[str], bool], None]]:
    """Tries one company after the other in the same two databases."""
    with asyncio.Runner() as loop:
        shops = AsyncExitStack()
        source = loop.run(shops.enter_async_context(fresh(mariadb)))
        target = loop.run(shops.enter_async_context(fresh(mariadb)))
        for shop in (source, target):
            loop.run(shop.run(SCHEMA))
        yield lambda company, other: loop.run(tried(source, target, company, other))
        loop.run(shops.aclose())


async def tried(source: Shop, target: Shop, company: list[str], is_used: bool) -> None:
    """Deploys a company, compares, deploys it again, takes it back."""
    for shop in (source, target):
        await emptied(shop)
    await source.run(";".join(company))
    if is_used:
        await target.run(
            "insert into teams (id, name) values (1, 'other'); insert into people values (1, 1, 1, 'other');"
            """insert into `sel"ect %s` (`i d`, `größe`) values (7, 's')"""
        )
    before = [await target.rows(f"select * from `{table}`") for table in TABLES]
    package, name = await pack(source, *TABLES), str(uuid4())
    seen = await differences(target, package)
    outcome = await deploy(target, package, name)
    assert await graph(target) == await graph(source)
    assert {t: o.new for t, o in outcome.tables.items()} == {t: d.new for t, d in seen.items()}
    again = await deploy(target, package, str(uuid4()), update_existing=True)
    assert {(o.new, o.changed, o.failed) for o in again.tables.values()} == {(0, 0, 0)}
    await roll_back(target, name)
    assert [await target.rows(f"select * from `{table}`") for table in TABLES] == before


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(company=companies(), is_used=st.booleans())
def test_a_few_graphs_are_the_same_elsewhere(
    trying: Callable[[list[str], bool], None], company: list[str], is_used: bool
) -> None:
    trying(company, is_used)


@pytest.mark.faults
@pytest.mark.timeout(600)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(company=companies(), is_used=st.booleans())
def test_many_graphs_are_the_same_elsewhere(
    trying: Callable[[list[str], bool], None], company: list[str], is_used: bool
) -> None:
    trying(company, is_used)


async def test_a_graph_that_lacks_a_row_is_refused_or_deployed_without_what_needs_it(
    maria_shop: Shop, maria_other: Shop
) -> None:
    await maria_shop.run(SCHEMA)
    await maria_other.run(SCHEMA)
    await maria_shop.run(
        """set foreign_key_checks = 0; insert into teams values (3, 'n1', 2), (6, 'n2', null);
           insert into people values (1, 3, null, 'n1'), (2, 3, 99, 'n2'), (3, 6, null, 'n3')"""
    )
    package = await pack(maria_shop, *TABLES)
    with pytest.raises(Invalid, match=r"people refer to rows of people.*: 2$"):
        await deploy(maria_other, package)
    outcome = await deploy(maria_other, package, continue_on_error=True)
    left_out = {table: [f["key"] for f in o.failures] for table, o in outcome.tables.items() if o.failed}
    assert left_out == {"people": ["1", "2"], "teams": ["3"]}
    assert await maria_other.rows("select tag from people") == [("n3",)]
