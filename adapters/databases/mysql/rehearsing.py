"""A dry run's writing: into a temporary twin of the table, which has its rules but for references."""

from adapters.databases.mysql.quoting import name
from adapters.databases.mysql.session import Refused, Session
from adapters.databases.mysql.staging import Stage
from adapters.databases.mysql.writing import fail

NO_TWIN = frozenset({1005, 1030, 1044, 1142, 1562})


async def rehearse(session: Session, stage: Stage, is_lenient: bool) -> None:
    """Inserts what is new; Refused as the table itself would, or rows are marked that are to be left out.

    A partitioned table can have no temporary twin: then only types and references were tried.
    """
    twin = f"rollbook_twin_{stage.number}"
    try:
        await session.execute(f"create temporary table {twin} like {stage.real}")
    except Refused as problem:
        if problem.number in NO_TWIN:
            return
        raise
    await insert_lines(session, stage, twin, 1, stage.rows, is_lenient)


async def insert_lines(session: Session, stage: Stage, twin: str, first: int, last: int, is_lenient: bool) -> None:
    """Inserts rows, and seeks those that are refused by halves."""
    names = [column.name for column in stage.columns]
    names += [column.name for column in stage.key if column.name not in names]
    try:
        await session.execute(
            f"""insert into {twin} ({", ".join(map(name, names))}) select {", ".join(map(stage.final, names))}
                  from {stage.temporary} s
                 where not s.found and s.failed is null and s.line between {first} and {last} order by s.line"""
        )
    except Refused as problem:
        message = problem.message.replace(f"`{twin}`", stage.real)
        if not is_lenient:
            raise Refused(problem.number, message) from None
        if first == last:
            stage.count_refused(message)
            return await fail(session, stage, f"s.line = {first}", message)
        middle = (first + last) // 2
        await insert_lines(session, stage, twin, first, middle, is_lenient)
        await insert_lines(session, stage, twin, middle + 1, last, is_lenient)
