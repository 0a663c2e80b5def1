"""A dry run's writing: into a temporary twin of the table, which has its rules but for references."""

from adapters.databases.mysql.session import Refused, Session
from adapters.databases.mysql.staging import Stage
from adapters.databases.mysql.writing import by_halves, inserting

NO_TWIN = frozenset({1005, 1030, 1044, 1142, 1478, 1562})


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

    async def write(lines: str) -> None:
        try:
            await session.execute(inserting(stage, twin, lines))
        except Refused as problem:
            raise Refused(problem.number, problem.message.replace(f"`{twin}`", stage.real)) from None

    await by_halves(session, stage, write, is_lenient)
