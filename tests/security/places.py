"""Every place where something that Rollbook was told may lie, and the forms in which it may lie there."""

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import httpx2
import nats
import psutil
import psycopg

from adapters.embedded.nats import EmbeddedNats
from tests.faults.checks import admin_url
from tests.faults.instance import Instance

Place = tuple[str, bytes]
PAGES = ("/docs", "/redoc", "/openapi.json")
STATES = ("/health", "/ready", "/metrics")
STREAM = "ROLLBOOK"


def forms(text: str) -> set[bytes]:
    """How a text may be written: as it is, in other cases and encodings, within base64 wherever it begins."""
    raw = text.encode()
    shifted = [base64.b64encode(b"\0" * n + raw)[start:].rstrip(b"=")[:-1] for n, start in ((0, 0), (1, 2), (2, 3))]
    plain = {raw, raw.lower(), raw.upper(), quote(text, safe="").encode(), text.encode("utf-16-le"), raw[::-1]}
    return plain | {raw.hex().encode(), raw.hex().upper().encode(), *shifted}


def found(texts: Mapping[str, str], places: Iterable[Place]) -> list[str]:
    """Which texts, by their names, lie where."""
    wanted = {(name, form) for name, text in texts.items() for form in forms(text)}
    return sorted({f"{name} in {place}" for place, held in places for name, form in wanted if form in held})


def files(folder: Path, without: Iterable[str] = ()) -> Iterator[Place]:
    """Every file below, but for those whose paths begin with one of `without`."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not path.is_symlink() and not name.startswith(tuple(without)):
            with suppress(FileNotFoundError):
                yield name, path.read_bytes()


async def rows(folder: Path) -> list[Place]:
    """Every row of every table of the database, as text and with its bytes readable."""
    kept: list[Place] = []
    async with await psycopg.AsyncConnection.connect(admin_url(folder)) as admin:
        query = """select format('%I.%I', schemaname, tablename) from pg_tables
                    where schemaname not in ('pg_catalog', 'information_schema')"""
        for (table,) in await (await admin.execute(query)).fetchall():
            content = await (await admin.execute(f"select row_to_json(t)::text from {table} t".encode())).fetchall()
            kept.append((table, b"\n".join(row.encode() + unescaped(row) for (row,) in content)))
    assert kept, "there is no table"
    return kept


def unescaped(row: str) -> bytes:
    """The bytea values of a row, which are written in hexadecimal."""
    return b"\n".join(bytes.fromhex(part.split('"')[0]) for part in row.split('"\\\\x')[1:])


async def messages(folder: Path) -> list[Place]:
    """Every message of the feed: subject, headers and data."""
    broker = EmbeddedNats(folder)
    broker.port = int((folder / "nats.port").read_text())
    client = await nats.connect(broker.url)
    try:
        feed = client.jetstream()
        last = (await feed.stream_info(STREAM)).state.messages
        subscription = await feed.subscribe("rollbook.>", ordered_consumer=True)
        taken = [await subscription.next_msg(timeout=10) for _ in range(last)]
    finally:
        await client.close()
    return [(m.subject, b"\n".join([m.subject.encode(), json.dumps(m.headers).encode(), m.data])) for m in taken]


async def pages(instance: Instance) -> AsyncIterator[Place]:
    """What anybody can read without a token."""
    async with httpx2.AsyncClient(timeout=20) as client:
        for url in [instance.url + page for page in PAGES] + [instance.management_url + state for state in STATES]:
            yield url, (await client.get(url)).content


def arguments(instance: Instance) -> list[Place]:
    """What everybody on the machine sees of the processes."""
    told: list[Place] = []
    for process in instance.members():
        with suppress(psutil.Error):
            told.append((f"arguments of {process.name()}", " ".join(process.cmdline()).encode()))
    assert told, "nothing runs"
    return told


async def said(*command: str, **settings: str) -> tuple[int, str, str]:
    """A command of ours that ends by itself: exit code, answer, and what it said beside that."""
    child = await asyncio.create_subprocess_exec(
        Path(sys.executable).parent / "rollbook",
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": settings["DATA_DIR"], "API_PORT": "0", "MANAGEMENT_PORT": "0"}
        | settings,
        cwd=settings["DATA_DIR"],
    )
    try:
        answered, told = await asyncio.wait_for(child.communicate(), 60)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return child.returncode or 0, answered.decode(), told.decode()
