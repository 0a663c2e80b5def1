"""New AUTO_INCREMENT keys for rows, before they are written: no two sessions ever get the same.

InnoDB gives keys out one by one and never takes back how far it came. So a range is taken by trying a row at its end
and going back: whoever inserts from then on gets higher keys. What others took just before is then at its beginning.
A dry run takes nothing.
"""

from adapters.databases.mysql.quoting import from_text, literal, name
from adapters.databases.mysql.session import Refused, Session
from adapters.databases.mysql.staging import Stage
from domain.errors import Clash

ROOMS = (0, 100, 10_000, 1_000_000)
ROWS_TRIED = 10


async def give_new_keys(session: Session, stage: Stage, is_dry: bool) -> None:
    """New rows get the keys that the target has not given out yet."""
    wanted = await session.count(f"select count(*) from {stage.temporary} where not found and failed is null")
    if not wanted:
        return
    last = await highest(session, stage) if is_dry else await taken(session, stage, wanted)
    await session.execute(f"set @rollbook_key = {last}")
    await session.execute(
        f"""update {stage.temporary} set k0 = (@rollbook_key := @rollbook_key + 1)
             where not found and failed is null order by line"""
    )


async def taken(session: Session, stage: Stage, wanted: int) -> int:
    """Takes a range of keys; answers what is before it. Where others are quick, a wider one with room for theirs."""
    key = name(stage.key[0].name)
    for room in ROOMS:
        last = await highest(session, stage)
        await reach(session, stage, last + room + wanted)
        theirs = await session.one(
            f"""select coalesce(max({key}), 0) from {stage.real}
                 where {key} > {last} and {key} <= {last + room + wanted} lock in share mode"""
        )
        if int(theirs[0]) <= last + room:
            return max(last, int(theirs[0]))
    raise Clash(f"Others write so much to {stage.name} that there are no keys in a row; try again")


async def highest(session: Session, stage: Stage) -> int:
    """The last key that was given out, also to rows that are gone or not committed yet."""
    if not session.is_mariadb:
        await session.execute("set session information_schema_stats_expiry = 0")
    told = await session.one(
        f"""select coalesce(auto_increment, 1) - 1 from information_schema.tables
             where table_schema = database() and table_name = {literal(stage.name)}"""
    )
    most = await session.one(f"select coalesce(max({name(stage.key[0].name)}), 0) from {stage.real}")
    return max(int(told[0]), int(most[0]), 0)


async def reach(session: Session, stage: Stage, key: int) -> None:
    """Moves the counter behind a key: tries a row of the package under it, and goes back."""
    await session.execute("savepoint rollbook_keys")
    await session.execute("set session foreign_key_checks = 0")
    try:
        await try_rows(session, stage, key)
    except Refused:
        await go_back(session)
        raise
    await go_back(session)


async def go_back(session: Session) -> None:
    """Undoes the trial; only the counter stays where it is."""
    await session.execute("rollback to savepoint rollbook_keys")
    await session.execute("set session foreign_key_checks = 1")


async def try_rows(session: Session, stage: Stage, key: int) -> None:
    """Inserts one row; one that is refused may be a bad one, then another is tried."""
    problem: Refused | None = None
    for place in range(ROWS_TRIED):
        try:
            if await session.execute(trial(stage, key, place)):
                return
        except Refused as refused:
            problem = refused
    if problem is not None:
        raise problem


def trial(stage: Stage, key: int, place: int) -> str:
    """Inserts one new row of the package under some key; references that are not known yet are as packed."""
    others = [column for column in stage.columns if column.name != stage.key[0].name]
    values = [
        f"coalesce({stage.given(c.name)}, {from_text(c, f's.v{stage.place(c.name)}')})"
        if c.name in stage.moving
        else stage.given(c.name)
        for c in others
    ]
    names = ", ".join([name(stage.key[0].name), *(name(c.name) for c in others)])
    return f"""insert into {stage.real} ({names}) select {", ".join([str(key), *values])} from {stage.temporary} s
                where not s.found and s.failed is null order by s.line limit 1 offset {place}"""
