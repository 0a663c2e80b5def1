"""Nothing secret that Rollbook is given or makes is found where it must not be: canaries, and a look everywhere."""

import asyncio
import json
import secrets
import signal
from base64 import b64encode
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.conftest import open_folder
from tests.security.conftest import ACME, RELEASE, Town
from tests.security.places import Place, arguments, files, forms, found, messages, pages, rows, said

# Where the secrets themselves are kept, readable by nobody else.
KEPT = ("secrets/", "nats.conf", "nats/nats.conf")
MASTER = b64encode(secrets.token_bytes(32)).decode()
PASSWORD = "planted-password-" + secrets.token_hex(8)
NOWHERE = {
    "postgresql": f"postgresql://ann:{PASSWORD}@127.0.0.1:1/shop",
    "mysql": f"mysql://ann:{PASSWORD}@127.0.0.1:1/shop",
    "mongodb": f"mongodb://ann:{PASSWORD}@127.0.0.1:1/shop",
}


@pytest.mark.timeout(240)
async def test_no_secret_is_found_anywhere(town: Town) -> None:
    with open_folder("databases") as folder:
        keep_addresses(folder / ACME)
        town.instance.settings = {**town.settings, "MASTER_KEY": MASTER, "ENVIRONMENT_SECRETS_DIR": str(folder)}
        await town.instance.start()
        planted = await use_them_all(town)
        await name_databases(town, {"Authorization": f"Bearer {planted['boss']}"})
        await go_through_an_outage(town, planted)
    planted |= kept(town.folder)
    places: list[Place] = [*town.answers, *arguments(town.instance), *await messages(town.folder)]
    places += [*await rows(town.folder), *[page async for page in pages(town.instance)]]
    assert await town.instance.terminate() == 0
    places += [(f"the span {span.name}", span.SerializeToString()) for span in town.collector.spans]
    assert town.collector.spans, "nothing was traced"
    assert found(planted, [*places, *files(town.folder, KEPT)]) == []
    assert nobody_else_reads(town.folder) == []


async def use_them_all(town: Town) -> dict[str, str]:
    """Every kind of token, good and bad, in every place where somebody may put it."""
    boss = await town.operator("token", ACME, "--name", "boss")
    personal, unknown = "planted-personal-" + secrets.token_hex(16), "ghp_" + secrets.token_hex(18)
    action, forged = town.run("octo"), town.run("octo", aud="somebody-else")
    as_boss, person = {"Authorization": f"Bearer {boss}"}, town.person(personal, "octo")
    issued = await town.ask(as_boss, "POST", "/v1/tokens", {"name": "robot"})
    robot = issued.pop("token")
    town.answers.clear()
    for who in (as_boss, person, action, {"Authorization": f"Bearer {robot}"}):
        await town.ask(who, "POST", "/v1/deployments", RELEASE)
        await town.ask(who, "GET", f"/v1/deployments?access_token={bearer(who)}")
        await town.ask({**who, "X-Api-Key": bearer(who)}, "POST", "/v1/deployments", {"token": 1}, status=422)
        await town.ask(who, "GET", "/v1/deployments?as_of=nonsense", status=400)
    strangers = {"unknown": unknown, "forged": bearer(forged), "another of ours": "rbk_" + secrets.token_urlsafe(32)}
    for token in strangers.values():
        stranger = {"Authorization": f"Bearer {token}", "X-Organisation": ACME}
        await town.ask(stranger, "POST", "/v1/deployments", RELEASE, status=401)
    await town.ask({"Authorization": f"Basic {PASSWORD}"}, "GET", "/v1/lanes", status=401)
    await town.ask(as_boss, "DELETE", f"/v1/tokens/{issued['id']}")
    await town.ask({"Authorization": f"Bearer {robot}"}, "GET", "/v1/lanes", status=401)
    good = {"boss": boss, "personal": personal, "action": bearer(action), "robot": robot}
    return {**good, **strangers, "password": PASSWORD, "master key": MASTER}


def keep_addresses(folder: Path) -> None:
    """The addresses of databases, where the organisation may name them."""
    folder.mkdir()
    for kind, dsn in NOWHERE.items():
        (folder / kind).write_text(dsn)
    (folder / "wrong").write_text(PASSWORD)


async def name_databases(town: Town, boss: dict[str, str]) -> None:
    """Environments are added and tried in vain, and refused where the address itself is sent."""
    path = "/api/environments"
    for kind, dsn in NOWHERE.items():
        await town.ask(boss, "POST", path, {"name": kind, "kind": kind, "dsn": dsn}, status=400)
        await town.ask(boss, "POST", path, {"name": kind, "kind": kind, "dsn": f"file:{kind}"})
        tried = await town.ask(boss, "POST", f"{path}/{kind}/test")
        assert tried["problems"], "a database is there"
        await town.ask(boss, "PUT", f"{path}/{kind}", {"dsn": "file:wrong", "reader_dsn": dsn}, status=400)
        await town.ask(boss, "PUT", f"{path}/{kind}", {"dsn": "file:wrong"})
        await town.ask(boss, "POST", f"{path}/{kind}/test", status=400)
    await town.ask(boss, "GET", path)


def bearer(who: dict[str, str]) -> str:
    """The token itself."""
    return who["Authorization"].removeprefix("Bearer ")


async def go_through_an_outage(town: Town, planted: dict[str, str]) -> None:
    """Errors of every kind are told while GitHub fails, and Postgres and NATS are killed."""
    town.providers.users.clear()
    town.providers.keys = None
    boss = {"Authorization": f"Bearer {planted['boss']}"}
    for process in town.instance.members():
        with suppress(psutil.Error):
            if process.name().startswith(("postgres", "nats-server")):
                process.send_signal(signal.SIGKILL)
    await asyncio.gather(*(knock(town, token) for token in planted.values()))
    async with asyncio.timeout(60):
        while (await town.client.get(town.instance.url + "/v1/lanes", headers=boss)).status_code != 200:
            await asyncio.sleep(0.1)
    await town.instance.says(ready=True)


async def knock(town: Town, token: str) -> None:
    """Whatever the answer is, it is noted."""
    headers = {"Authorization": f"Bearer {token}", "X-Organisation": ACME}
    answer = await town.client.get(town.instance.url + "/v1/lanes", headers=headers)
    town.answers.append((f"the answer {answer.status_code} in an outage", answer.content))


def kept(folder: Path) -> dict[str, str]:
    """The passwords that Rollbook made itself."""
    made = {f"secrets/{path.name}": path.read_text() for path in (folder / "secrets").iterdir()}
    assert {"secrets/nats", "secrets/rollbook_app", "secrets/rollbook_owner"} <= made.keys()
    return made


def nobody_else_reads(folder: Path) -> list[str]:
    """Files with a secret in them that somebody else may read, though nobody else may enter here."""
    made = kept(folder)
    holders = [path for path in folder.rglob("*") if path.is_file() and str(path.relative_to(folder)).startswith(KEPT)]
    assert found(made, [(path.name, path.read_bytes()) for path in holders]), "a search that finds nothing"
    return [str(path) for path in holders if path.stat().st_mode & 0o077]


WRONG = {
    "a database that is away": ("serve", {"DATABASE_URL": f"postgresql://rollbook:{PASSWORD}@127.0.0.1:1/rollbook"}),
    "a database that is none": ("serve", {"DATABASE_URL": f"postgresql://rollbook:{PASSWORD}@[/rollbook"}),
    "a key that is none": ("up", {"MASTER_KEY": PASSWORD}),
    "a number that is none": ("up", {"POOL_SIZE": PASSWORD}),
    "a list that is none": ("up", {"OIDC_ISSUERS": f'[{{"issuer": "{PASSWORD}"'}),
    "a configuration to be printed": ("config", {"DATABASE_URL": f"postgresql://rollbook:{PASSWORD}@db/rollbook"}),
    "another one": ("config", {"NATS_URL": f"nats://{PASSWORD}@nats:4222", "MASTER_KEY": MASTER}),
}


@pytest.mark.parametrize("what", WRONG)
async def test_no_secret_of_the_settings_is_said(what: str) -> None:
    command, settings = WRONG[what]
    with open_folder("settings") as folder:
        code, answered, told = await said(command, DATA_DIR=str(folder), **settings)
    assert (code == 0) == (command == "config"), told
    assert found({"password": PASSWORD, "master key": MASTER}, [("what it said", f"{answered}{told}".encode())]) == []
    assert answered or told


def test_a_secret_is_found_however_it_is_written() -> None:
    secret = "planted-secret-4711"
    for before in ("", "a", "ab"):
        hidden = b64encode(f"{before}{secret}!".encode())
        assert any(form in hidden for form in forms(secret))
    assert any(form in json.dumps({"x": secret}).encode() for form in forms(secret))
    assert any(form in secret.encode().hex().encode() for form in forms(secret))
