"""Proves that a log of Rollbook's is what it was: reads a database or an export, and hashes what is stored, as it is.

One file, on purpose: whoever does not trust Rollbook can read it, and run it with nothing of Rollbook's beside it. It
needs Python 3.11 and `cryptography`, and psycopg for a database. ADR 0011 says how events are hashed, 0043 how sealed.
"""

import argparse
import base64
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import chain
from operator import itemgetter
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

INTACT, BROKEN, MISMATCH, GAP, UNREADABLE = range(5)
CONTEXT = b"rollbook checkpoint v1\0"
LAST = 2**63
COLUMNS = "position commit_position event_id stream_id version topic schema_version organisation sequence recorded_at"
columns_of = itemgetter(*COLUMNS.split())
BESIDE = ("checkpoint", "signature", "key", "heads")
EVENTS = """select position, commit_position, event_id::text, stream_id, version, topic, schema_version, organisation,
                   sequence, to_char(recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                   envelope, payload, previous_hash, hash from rollbook.events order by position"""
CHECKPOINTS = """select json_build_object('checkpoint', text, 'signature', signature, 'key', public_key, 'heads',
                        (select json_agg(json_build_object('leaf', leaf, 'path', path)) from rollbook.checkpoint_heads h
                          where h.number = c.number)) from rollbook.sealed_checkpoints c order by number"""
Line = dict[str, Any]
# How far an organisation's chain was followed: sequence, hash and position; checkpoints' numbers and epochs by digest.
Chain = tuple[int, bytes, int]
Links = dict[str, tuple[int, int]]
# What stands beside an event's envelope, then envelope, payload, previous hash and hash as they are stored.
Event = tuple[tuple[Any, ...], bytes, bytes, bytes, bytes]


class Verdict(Exception):
    """The exit code, what is wrong, and where."""


def main(arguments: list[str] | None = None) -> None:
    """The command; its exit code is 0 intact, 1 broken, 2 checkpoint mismatch, 3 gap, 4 what cannot be read."""
    parser = argparse.ArgumentParser("rollbook-verify", description="Verifies a log of Rollbook's.")
    parser.add_argument("log", help="an export (NDJSON, - for standard input), or the DSN of a database's owner")
    parser.add_argument("--checkpoints", metavar="FILE", help="sealed checkpoints, as they were exported (NDJSON)")
    parser.add_argument("--key", action="append", help="a public key that seals, in base64; else that of the first")
    parser.add_argument("--after", type=int, default=0, help="the export is of what stands behind this position")
    parser.add_argument("--to", type=int, default=LAST, help="the export ends at this position, as was asked for")
    parser.add_argument("--json", action="store_true", help="tell the verdict as JSON")
    options = parser.parse_args(arguments)
    told = verified(options)
    print(json.dumps(told) if options.json else told["verdict"])
    sys.exit(told["code"])


def verified(options: argparse.Namespace) -> Line:
    """The verdict, with the exit code that says it."""
    keys: list[str] = options.key or []
    try:
        with connected(options.log) as connection:
            live, lost = linked(sealed_lines(options.checkpoints, connection), keys)
            sealed = live_ones(sealed_lines(options.checkpoints, connection), set(live))
            read = Follower(options.after, options.to, connection is not None, sealed)
            stored_events = ((row[:10], *row[10:]) for row in stored(connection, EVENTS))
            read.follow(stored_events if connection else exported_events(options.log))
    except Verdict as verdict:
        code, text, position = verdict.args
        return {"verdict": text, "code": code, "position": position}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as problem:
        return {"verdict": f"Cannot be read: {type(problem).__name__}: {problem}", "code": UNREADABLE, "position": None}
    whose = "1 organisation" if len(read.chains) == 1 else f"{len(read.chains)} organisations"
    told = f"Intact: {read.count} events of {whose}, {len(live)} checkpoints"
    if numbers := sorted(number for number, _ in lost.values()):
        told += f"; checkpoints {numbers[0]} to {numbers[-1]} are of a lost epoch: a restore gave up what they sealed"
    facts = {"events": read.count, "checkpoints": len(live), "lost_checkpoints": numbers, "keys": keys}
    return {"verdict": told, "code": INTACT, "position": None} | facts


class Follower:
    """Follows every chain to its end. `whole` is whether all of the log is there, which a database's is."""

    def __init__(self, after: int, to: int, whole: bool, checkpoints: Iterator[Line]) -> None:
        self.after, self.to, self.whole, self.checkpoints = after, to, whole, checkpoints
        self.chains: dict[str, Chain] = {}
        self.position, self.count = 0 if whole else after, 0
        self.sealed = next(checkpoints, None)

    def follow(self, events: Iterable[Event]) -> None:
        """Verdict at the first thing that is wrong."""
        for event in events:
            self.check_sealed(event[0][0])
            self.check(*event)
            self.count += 1
        self.check_sealed(LAST)

    def check(self, beside: tuple[Any, ...], envelope: bytes, payload: bytes, previous: bytes, found: bytes) -> None:
        """One event: its bytes, what stands beside them, its place, and the event that it follows."""
        position, sequence, name = beside[0], beside[-2], beside[-3]
        inner = hashlib.sha256(envelope).digest() + hashlib.sha256(payload).digest()
        if hashlib.sha256(previous + inner).digest() != found or sealed_columns(envelope) != beside:
            raise Verdict(BROKEN, f"Broken at position {position}: the event was changed", position)
        if position <= self.position:
            raise Verdict(BROKEN, f"Broken at position {position}: it stands behind {self.position}", position)
        if self.whole and (missing := position - self.position - 1):
            raise Verdict(GAP, f"Gap at position {self.position + 1}: {missing} events are missing", self.position + 1)
        begun = (sequence - 1, previous, 0) if self.after else (0, bytes(32), 0)
        before, expected, _ = self.chains.get(name, begun)
        if missing := max(sequence - before - 1, 0):
            raise Verdict(GAP, f"Gap before position {position}: {missing} events of {name} are missing", position)
        if sequence != before + 1 or previous != expected:
            raise Verdict(BROKEN, f"Broken at position {position}: it does not follow {name}'s event before", position)
        self.chains[name], self.position = (sequence, found, position), position

    def check_sealed(self, beyond: int) -> None:
        """What was sealed before this position."""
        while self.sealed and self.sealed["position"] < beyond:
            for head in self.sealed["heads"]:
                self.check_head(json.loads(head["leaf"]), self.sealed["number"])
            self.sealed = next(self.checkpoints, None)

    def check_head(self, head: Line, number: int) -> None:
        """The chain ends with what was sealed. An export has some organisations and a part of the log, no more."""
        name, at = head["organisation"], head["position"]
        sequence, found, end = self.chains.get(name, (0, b"", 0))
        if self.after < at <= self.to and (self.whole or end or not self.chains):
            if lost := max(head["sequence"] - sequence, 0):
                text = f"Truncated behind position {end}: checkpoint {number} sealed {lost} more of {name}"
                raise Verdict(MISMATCH, text + ("" if self.whole else "; was it to end there? --to"), end)
            if (sequence, found.hex()) != (head["sequence"], head["hash"]):
                raise Verdict(MISMATCH, f"Checkpoint {number} sealed another event of {name} at position {at}", at)


def sealed_columns(envelope: bytes) -> tuple[Any, ...]:
    """What the envelope says of what stands beside it; nothing when it is none."""
    try:
        return tuple(columns_of(json.loads(envelope)))
    except (ValueError, KeyError, TypeError):
        return ()


@contextmanager
def connected(log: str) -> Iterator[Any]:
    """One moment of a database, for a role that sees all of it; None when the log is a file."""
    if os.path.exists(log) or not ("://" in log or "=" in log):
        yield None
        return
    import psycopg

    try:
        with psycopg.connect(log, connect_timeout=10, options="-c row_security=off") as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            yield connection
    except psycopg.Error as problem:
        raise Verdict(UNREADABLE, f"Cannot be read: {problem}".strip(), None) from None


def stored(connection: Any, query: str) -> Iterator[Any]:
    """The rows of a query, through a cursor of the server's, so that few are here at a time."""
    with connection.cursor(f"of {len(query)}", binary=True) as cursor:
        cursor.itersize = 2000
        yield from cursor.execute(query)


def exported_events(path: str) -> Iterator[Event]:
    """The events of an export, which ends with a line that counts them."""
    count, said = 0, None
    for line in lines_of(path):
        if (said := line.get("events")) is None:
            count += 1
            hashes = bytes.fromhex(line["previous_hash"]), bytes.fromhex(line["hash"])
            yield columns_of(line), line["envelope"].encode(), line["payload"].encode(), *hashes
    if said != count:
        raise Verdict(GAP, f"Gap: the export has {count} events, and its last line counts {said or 'none'}", None)


def sealed_lines(path: str | None, connection: Any) -> Iterator[Line]:
    """What was exported, then what a database itself says: whoever cut off its log may have cut that too."""
    found = (row[0] for row in stored(connection, CHECKPOINTS)) if connection else iter(())
    for line in chain(lines_of(path) if path else (), found):
        name = hashlib.sha256(line["checkpoint"].encode()).hexdigest()
        yield {**json.loads(line["checkpoint"]), **{member: line[member] for member in BESIDE}, "name": name}


def lines_of(path: str) -> Iterator[Line]:
    """The lines of a file, each an object."""
    with closing(sys.stdin.buffer if path == "-" else open(path, "rb")) as file:
        yield from (json.loads(line) for line in file if line.strip())


def linked(lines: Iterable[Line], keys: list[str]) -> tuple[Links, Links]:
    """The checkpoints that hang together, and those that a restore gave up; Verdict where one is forged, or loose."""
    live, lost, first = Links(), Links(), (0, 0)
    for line in lines:
        keys += [] if keys else [line["key"]]
        first = first if live else (line["epoch"], line["number"])
        if line["key"] not in keys or not is_signed(line["key"], line["signature"], line["checkpoint"].encode()):
            raise Verdict(MISMATCH, f"Checkpoint {line['number']} is not signed by {' or '.join(keys)}", None)
        if not (line["name"] in live or line["name"] in lost or (line["epoch"], line["number"]) < first):
            add_link(live, lost, line)
    return live, lost


def add_link(live: Links, lost: Links, line: Line) -> None:
    """Behind the one that it names; what stood there is lost, which only a restore does: it begins an epoch."""
    if live and line["previous"] not in live and int(line["previous"], 16):
        raise Verdict(MISMATCH, f"Checkpoint {line['number']} does not follow the one before it", None)
    while live and (last := next(reversed(live))) != line["previous"]:
        number, epoch = lost[last] = live.pop(last)
        if epoch >= line["epoch"]:
            raise Verdict(MISMATCH, f"Checkpoints {number} and {line['number']} stand in each other's place", None)
    live[line["name"]] = line["number"], line["epoch"]


def live_ones(lines: Iterable[Line], due: set[str]) -> Iterator[Line]:
    """Each checkpoint that holds, once, when it seals the heads that are shown beside it."""
    for line in lines:
        if line["name"] in due:
            due.remove(line["name"])
            if any(climbed(head["leaf"].encode(), head["path"]) != line["root"] for head in line["heads"]):
                raise Verdict(MISMATCH, f"Checkpoint {line['number']} does not seal the heads beside it", None)
            yield line


def climbed(leaf: bytes, path: Iterable[str]) -> str:
    """The root above a leaf: each step names the hash beside it, and the side that this one stands on."""
    found = hashlib.sha256(b"\0" + leaf).digest()
    for step in path:
        side, other = step[0], bytes.fromhex(step[1:])
        found = hashlib.sha256(b"\1" + (other + found if side == "<" else found + other)).digest()
    return found.hex()


def is_signed(key: str, signature: str, text: bytes) -> bool:
    """Whether the signature is the key's."""
    try:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key, validate=True))
        public.verify(base64.b64decode(signature, validate=True), CONTEXT + text)
    except (InvalidSignature, ValueError):
        return False
    return True


if __name__ == "__main__":
    main()
