"""Proves that a log of Rollbook's is what it was: reads a database or an export, and hashes what is stored, as it is.

One file, on purpose: whoever does not trust Rollbook can read it, and run it with nothing of Rollbook's beside it. It
needs Python 3.11 and `cryptography`, and psycopg for a database. ADR 0011 says how events are hashed.
"""

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

INTACT, BROKEN, MISMATCH, GAP, UNREADABLE = range(5)
NOTHING = bytes(32)
CONTEXT = b"rollbook checkpoint v1\0"
OF_STREAM = ("event_id", "stream_id", "version", "topic", "schema_version")
SEALED = ("position", "commit_position", *OF_STREAM, "organisation", "sequence", "recorded_at")
EVENTS = f"select {', '.join(SEALED)}, envelope, payload, previous_hash, hash from rollbook.events order by position"
BATCH = 5000


class Verdict(Exception):
    """What is wrong, where, and the exit code that says so."""

    def __init__(self, code: int, text: str, position: int | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.position = position


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it is stored: the exact bytes, and what stands beside them."""

    envelope: bytes
    payload: bytes
    previous_hash: bytes
    hash: bytes
    beside: dict[str, Any]


@dataclass(slots=True)
class Chain:
    """How far an organisation's chain was followed."""

    sequence: int = 0
    hash: bytes = NOTHING
    position: int = 0


@dataclass(slots=True)
class Checkpoints:
    """What was sealed: heads of organisations by sequence, out of checkpoints that hang together."""

    heads: dict[tuple[str, int], tuple[int, bytes]] = field(default_factory=dict)
    count: int = 0
    key: str = ""


def main() -> None:
    """The command; its exit code is 0 intact, 1 broken, 2 checkpoint mismatch, 3 gap, 4 what cannot be read."""
    options = parsed(sys.argv[1:])
    code, told = verified(options)
    print(json.dumps(told) if options.json else told["verdict"])
    sys.exit(code)


def parsed(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser("rollbook-verify", description="Verifies a log of Rollbook's.")
    parser.add_argument("log", help="an export (NDJSON, - for standard input), or the DSN of a database")
    parser.add_argument("--checkpoints", help="sealed checkpoints, as they were exported (NDJSON)")
    parser.add_argument("--key", help="the public key that seals them, in base64; without it any one key is taken")
    parser.add_argument("--json", action="store_true", help="tell the verdict as JSON")
    return parser.parse_args(arguments)


def verified(options: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    """The exit code, and what is told."""
    try:
        sealed = read_checkpoints(options.checkpoints, options.key)
        chains, events = follow(options.log, sealed)
    except Verdict as verdict:
        return verdict.code, {"verdict": str(verdict), "code": verdict.code, "position": verdict.position}
    except (OSError, ValueError, KeyError, TypeError) as problem:
        return UNREADABLE, {"verdict": f"Cannot be read: {problem}", "code": UNREADABLE, "position": None}
    told = f"Intact: {events} events of {len(chains)} organisations, {sealed.count} checkpoints"
    heads = {name: {"sequence": one.sequence, "hash": one.hash.hex()} for name, one in chains.items()}
    return INTACT, {"verdict": told, "code": INTACT, "events": events, "key": sealed.key, "heads": heads}


def follow(log: str, sealed: Checkpoints) -> tuple[dict[str, Chain], int]:
    """Follows every chain to its end; Verdict at the first thing that is wrong."""
    chains: dict[str, Chain] = {}
    count = position = 0
    whole = "://" in log or "=" in log
    for event in stored_events(log) if whole else exported_events(log):
        told = json.loads(event.envelope)
        check_columns(event, told)
        check_place(told, position, whole)
        position, count = told["position"], count + 1
        check_link(chains.setdefault(told["organisation"], Chain()), event, told)
        check_sealed(sealed, told, event.hash)
    check_ends(chains, sealed, whole)
    return chains, count


def check_columns(event: Event, told: dict[str, Any]) -> None:
    """What stands beside an envelope is what it says."""
    for name, value in event.beside.items():
        if told[name] != value:
            raise Verdict(
                BROKEN, f"Broken at position {event.beside['position']}: {name} was changed", told["position"]
            )


def check_place(told: dict[str, Any], before: int, whole: bool) -> None:
    """Positions grow, and a whole log lacks none."""
    position = told["position"]
    if position <= before:
        raise Verdict(BROKEN, f"Broken at position {position}: it comes after {before}", position)
    if whole and position != before + 1:
        raise Verdict(GAP, f"Gap at position {before + 1}: {position - before - 1} events are missing", before + 1)


def check_link(chain: Chain, event: Event, told: dict[str, Any]) -> None:
    """The event is the next one of its organisation, and hashes to what is stored."""
    position, sequence, name = told["position"], told["sequence"], told["organisation"]
    inner = hashlib.sha256(event.envelope).digest() + hashlib.sha256(event.payload).digest()
    if hashlib.sha256(event.previous_hash + inner).digest() != event.hash:
        raise Verdict(BROKEN, f"Broken at position {position}: the event was changed", position)
    if sequence > chain.sequence + 1:
        missing = sequence - chain.sequence - 1
        raise Verdict(GAP, f"Gap before position {position}: {missing} events of {name} are missing", position)
    if sequence != chain.sequence + 1 or event.previous_hash != chain.hash:
        raise Verdict(BROKEN, f"Broken at position {position}: it does not follow {name}'s event before", position)
    chain.sequence, chain.hash, chain.position = sequence, event.hash, position


def check_sealed(sealed: Checkpoints, told: dict[str, Any], found: bytes) -> None:
    """An event that was sealed as a head is the one that was sealed."""
    number, expected = sealed.heads.get((told["organisation"], told["sequence"]), (0, found))
    if expected != found:
        position = told["position"]
        raise Verdict(MISMATCH, f"Checkpoint {number} sealed another event than that at position {position}", position)


def check_ends(chains: dict[str, Chain], sealed: Checkpoints, whole: bool) -> None:
    """No chain ends before what was sealed of it. An export is asked about its own organisations only."""
    for (name, sequence), (number, _) in sealed.heads.items():
        chain = chains.get(name, Chain()) if whole or name in chains else None
        if chain and chain.sequence < sequence:
            lost = sequence - chain.sequence
            text = f"Truncated after position {chain.position}: checkpoint {number} sealed {lost} more events of {name}"
            raise Verdict(MISMATCH, text, chain.position)


def stored_events(dsn: str) -> Iterator[Event]:
    """The events of a database, in order, through a cursor."""
    import psycopg

    try:
        with psycopg.connect(dsn) as connection, connection.cursor("events", binary=True) as cursor:
            cursor.itersize = BATCH
            for row in cursor.execute(EVENTS):
                beside = dict(zip(SEALED, row, strict=False))
                beside["event_id"] = str(beside["event_id"])
                beside["recorded_at"] = f"{beside['recorded_at'].astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
                envelope, payload, previous_hash, found = map(bytes, row[len(SEALED) :])
                yield Event(envelope, payload, previous_hash, found, beside)
    except psycopg.Error as problem:
        raise Verdict(UNREADABLE, f"Cannot be read: {problem}".strip()) from None


def exported_events(path: str) -> Iterator[Event]:
    """The events of an export, which ends with a line that counts them."""
    count, ended = 0, False
    for line in lines_of(path):
        if ended := "events" in line:
            if line["events"] != count:
                raise Verdict(GAP, f"Gap: the export has {count} events, and says {line['events']}")
        elif "envelope" in line:
            count += 1
            hashes = bytes.fromhex(line["previous_hash"]), bytes.fromhex(line["hash"])
            yield Event(line["envelope"].encode(), line["payload"].encode(), *hashes, {})
    if not ended:
        raise Verdict(GAP, f"Gap: the export breaks off after {count} events")


def lines_of(path: str) -> Iterator[dict[str, Any]]:
    """The lines of a file, each an object."""
    with closing(sys.stdin.buffer if path == "-" else open(path, "rb")) as file:
        for line in file:
            if line.strip():
                yield json.loads(line)


def read_checkpoints(path: str | None, key: str | None) -> Checkpoints:
    """What checkpoints seal; Verdict where one is forged, or does not follow the one before."""
    sealed, before = Checkpoints(key=key or ""), NOTHING
    for line in lines_of(path) if path else ():
        text = line["checkpoint"].encode()
        told = json.loads(text)
        number = told["number"]
        sealed.key = sealed.key or line["key"]
        if line["key"] != sealed.key or not is_signed(line["key"], line["signature"], text):
            raise Verdict(MISMATCH, f"Checkpoint {number} is not signed by the key {sealed.key}")
        if sealed.count and told["previous"] != before.hex():
            raise Verdict(MISMATCH, f"Checkpoint {number} does not follow the one before it")
        for head in line["heads"]:
            add_head(sealed, number, head, told["root"])
        before, sealed.count = hashlib.sha256(text).digest(), sealed.count + 1
    return sealed


def add_head(sealed: Checkpoints, number: int, head: dict[str, Any], root: str) -> None:
    """The head of one organisation, when it is below the checkpoint's root."""
    leaf = head["leaf"].encode()
    if climbed(leaf, head["path"]) != root:
        raise Verdict(MISMATCH, f"Checkpoint {number} does not seal the head that stands beside it")
    told = json.loads(leaf)
    sealed.heads[told["organisation"], told["sequence"]] = number, bytes.fromhex(told["hash"])


def climbed(leaf: bytes, path: Iterable[str]) -> str:
    """The root above a leaf: each step names the hash beside it, and the side that this one stands on."""
    found = hashlib.sha256(b"\0" + leaf).digest()
    for step in path:
        side, other = step[0], bytes.fromhex(step[1:])
        pair = other + found if side == "<" else found + other
        found = hashlib.sha256(b"\1" + pair).digest()
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
