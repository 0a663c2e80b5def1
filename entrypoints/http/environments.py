"""Environments: the databases that packages come from and go to; add them, try them, remove them."""

from dataclasses import asdict
from typing import Any

from adapters.postgres.conditions import equals
from application import environments as commands
from application.execution import Handler
from domain.environment import NAME, Environment, unknown
from domain.errors import Clash, Invalid, NotFound
from entrypoints.http import environment_models as models
from entrypoints.http.commands import execute
from entrypoints.http.fields import AsOf
from entrypoints.http.headers import ALLOW_STALE
from entrypoints.http.package_answers import utc
from entrypoints.http.packages import packages
from entrypoints.http.reading import SHOWN, Reading, reading
from entrypoints.http.routing import Answer, Call, answer
from projections.read_model import Row
from projections.registry import ENVIRONMENTS

PATH = "/api/environments"
ONE = f"{PATH}/{{environment}}"


@packages.get(PATH, action="environment.read", answer=models.EnvironmentList, takes=(ALLOW_STALE,), gives=SHOWN)
async def list_environments(call: Call, query: models.ListEnvironments) -> Answer:
    """List environments by name; of the past only those that were added here, for a file has no history."""
    past = await reading(call, query.as_of)
    given = of_file(call) if query.as_of is None else {}
    wanted = [equals("active", True), *([equals("kind", query.kind.value)] if query.kind else [])]
    rows = await past.select(ENVIRONMENTS, wanted, order="name", limit=query.limit + query.offset)
    told = {one["name"]: one for one in await as_users_know_them(call, rows)}
    told |= {name: one for name, one in given.items() if query.kind in (None, one["kind"])}
    page = [told[name] for name in sorted(told)][query.offset : query.offset + query.limit]
    body = {"environments": page, "count": len(page), "limit": query.limit, "offset": query.offset}
    return answer(body, headers=past.headers())


@packages.get(ONE, action="environment.read", answer=models.EnvironmentAnswer, raises=(NotFound,), gives=SHOWN)
async def show_environment(call: Call, environment: str, query: AsOf) -> Answer:
    """Show one environment."""
    past = await reading(call, query.as_of)
    told = of_file(call).get(environment) if query.as_of is None else None
    return answer({"environment": told or await find(call, past, environment)}, headers=past.headers())


@packages.post(
    PATH, action="environment.change", answer=models.ChangedEnvironment, status=201, raises=(Clash,), gives=SHOWN
)
async def add_environment(call: Call, body: models.AddBody) -> Answer:
    """Add an environment; its DSN is named by reference and never sent here."""
    command = commands.AddEnvironment(body.name, body.kind, body.dsn, body.reader_dsn)
    return await changed(call, body.name, commands.add_environment, command, 201)


@packages.put(ONE, action="environment.change", answer=models.ChangedEnvironment, raises=(NotFound, Clash), gives=SHOWN)
async def change_environment(call: Call, environment: str, body: models.ChangeBody) -> Answer:
    """Find an environment's secrets elsewhere."""
    command = commands.ChangeEnvironment(environment, body.dsn, body.reader_dsn)
    return await changed(call, environment, commands.change_environment, command, 200)


@packages.delete(ONE, action="environment.change", answer=models.RemovedEnvironment, raises=(NotFound, Clash))
async def remove_environment(call: Call, environment: str) -> Answer:
    """Remove an environment; nothing happens to the database."""
    check_not_of_file(call, environment)
    await execute(call, commands.remove_environment, commands.RemoveEnvironment(environment))
    return answer({"message": "Environment removed successfully", "name": environment})


@packages.post(
    f"{ONE}/test", action="environment.test", answer=models.TrialObject, appends=False, raises=(NotFound, Invalid)
)
async def test_environment(call: Call, environment: str) -> Answer:
    """Connect to an environment and say what it gives; no address is ever told."""
    found = await call.app.environments.find(call.caller.organisation, environment)
    trial = await found.test()
    told = {"name": found.name, "kind": found.kind, "database": found.database_name, "ok": not trial.problems}
    return answer({**told, **asdict(trial)})


async def changed(call: Call, name: str, handler: Handler, command: Any, status: int) -> Answer:
    """Runs the command, and shows the environment as it is then; for a repeat as it was the first time."""
    check_not_of_file(call, name)
    done = await execute(call, handler, command, status)
    present = await reading(call, str(done.position) if done.repeated else None)
    message = f"Environment {'added' if status == 201 else 'changed'} successfully"
    return answer({"environment": await find(call, present, name), "message": message}, status, present.headers())


def check_not_of_file(call: Call, name: str) -> None:
    """Clash when the operator's file says what this is."""
    if name in of_file(call):
        raise Clash(f"Environment '{name}' is configured by the operator and cannot be changed here")


def of_file(call: Call) -> dict[str, dict[str, Any]]:
    """What the operator's file gives the organisation, by name; no reference and no secret."""
    nothing = dict.fromkeys(models.EnvironmentObject.model_fields)
    found = call.app.environments.of_file(call.caller.organisation)
    return {n: {**nothing, "name": n, "kind": one.kind, "origin": models.Origin.FILE} for n, one in found.items()}


async def find(call: Call, past: Reading, name: str) -> dict[str, Any]:
    """The environment of this name, or NotFound."""
    if not NAME.fullmatch(name):
        raise unknown(name)
    key = equals("key", str(Environment.id_of(call.caller.organisation, name)))
    if not (rows := await past.select(ENVIRONMENTS, [key, equals("active", True)], order="key")):
        raise unknown(name)
    return (await as_users_know_them(call, rows))[0]


async def as_users_know_them(call: Call, rows: list[Row]) -> list[dict[str, Any]]:
    """Environments with logins in the place of pseudonyms."""
    people = {row[by] for row in rows for by in ("created_by", "updated_by")}
    names = await call.app.people.logins_of(call.caller.organisation, people)
    return [told(row, names) for row in rows]


def told(row: Row, names: dict[str, str]) -> dict[str, Any]:
    """One environment."""
    same = ("name", "kind", "dsn", "reader_dsn")
    at = {member: utc(row[member]) for member in ("created_at", "updated_at")}
    by = {member: names[row[member]] for member in ("created_by", "updated_by")}
    return {**{member: row[member] for member in same}, **at, **by, "origin": models.Origin.API}
