"""What a team moves rows with otherwise: pg_dump with pg_restore, COPY, and row after row."""

import subprocess
from pathlib import Path
from time import perf_counter

import psycopg

from adapters.embedded.programs import HOME, POSTGRES
from tests.bench.ground import Database
from tests.bench.packages_shop import PARENTS, TABLES

PROGRAMS = POSTGRES.root / HOME / "bin"
SLICE = 5000
# As the options of the interface have it by default.
TRANSACTION = 1000
CHUNK = 1 << 20
INSERT = "insert into sales (shop_id, code, amount, sold_at, note) values (%s, %s, %s, %s, %s) returning id"


def dumped(source: Database, file: Path) -> float:
    """Seconds of `pg_dump -Fc`."""
    started = perf_counter()
    subprocess.run([PROGRAMS / "pg_dump", "-Fc", "-f", file, source.owner_url], check=True)
    return perf_counter() - started


def piped(source: Database, target: Database) -> float:
    """Seconds of `pg_dump -Z0 | pg_restore`, from the one into the other, which has no tables yet."""
    started = perf_counter()
    with subprocess.Popen([PROGRAMS / "pg_dump", "-Fc", "-Z0", source.owner_url], stdout=subprocess.PIPE) as dump:
        restore = [str(PROGRAMS / "pg_restore"), "--no-owner", "--exit-on-error", "-d", target.owner_url]
        subprocess.run(restore, stdin=dump.stdout, check=True)
    if dump.returncode:
        raise RuntimeError("pg_dump failed")
    return perf_counter() - started


def bare(files: dict[str, Path], target: Database) -> float:
    """Seconds of COPY into tables with keys and checks, as the rows are."""
    started = perf_counter()
    with psycopg.connect(target.owner_url) as owner:
        for table in TABLES:
            with files[table].open("rb") as file, owner.cursor().copy(f"copy {table} from stdin".encode()) as copy:
                while chunk := file.read(CHUNK):
                    copy.write(chunk)
    return perf_counter() - started


def one_by_one(source: Database, target: Database, rows: int) -> float:
    """Seconds that all rows would take, each with its new key, told from a slice of them."""
    with psycopg.connect(source.owner_url) as owner:
        query = f"select shop_id, code, amount, sold_at, note from sales where id <= {SLICE}"
        found = owner.execute(query.encode()).fetchall()
    with psycopg.connect(target.owner_url) as owner:
        new = {old: insert_shop(owner, old) for old in range(1, PARENTS + 1)}
        keys, started = {}, perf_counter()
        for number, (shop, *values) in enumerate(found):
            keys[number] = owner.execute(INSERT, [new[shop], *values]).fetchone()
            if number % TRANSACTION == 0:
                owner.commit()
        owner.commit()
        return (perf_counter() - started) / len(found) * rows


def insert_shop(owner: psycopg.Connection, number: int) -> int:
    """One of those that are referred to; its key."""
    row = owner.execute("insert into shops (name) values (%s) returning id", [f"shop {number}"]).fetchone()
    assert row is not None
    return int(row[0])
