"""How fast a long audit chain is proved: hashes, order, index and signatures, beside the bare hash of the same bytes.

The chain is generated as the door would have left it: intents and outcomes of some 700 bytes with a signed checkpoint
every 256 records, sealed with the product's own code and put into SQLite in one transaction.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from adapters.audit.base import EMPTY, Head, Link
from adapters.audit.keys import Keys
from adapters.audit.signed import EVERY, HEAD, PLAIN, ROOT, SCOPE, SignedAudit
from adapters.audit.signing import Checkpoint, SigningKey
from adapters.audit.sqlite import SqliteAudit
from adapters.audit.walk import link_of
from domain.clock import Clock, SystemClock
from domain.receipt import AuditEntry, AuditRecord, RecordKind
from evals.sections import Section, timed

RECORDS = 1_000_000
GOAL_PER_MINUTE = 1_000_000
# A cycle leaves some sixty records.
A_CYCLE = 60
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_BATCH = 20_000
_PLACE = "@place@"


def _template(kind: RecordKind) -> str:
    """The canonical form of an entry like those of the door, its key and cycle to be filled in."""
    intent = {
        "args": {"digest": "sha256:" + "5" * 64, "note": "nDCG@10 .337 (+5 %)", "weight": 10},
        "context_hash": "6" * 64,
        "reserved": {"usd_micros": 12_000},
    }
    outcome = {"observed": False, "permit": "0f1e2d3c", "result": {"revision": "7" * 40}, "spent": {"usd_micros": 900}}
    entry = AuditEntry(
        kind=kind,
        cycle_id=f"si_{_PLACE}_c",
        stage="promote",
        tool="promote",
        actor="devops_engineer/stage",
        key=f"{_PLACE}_k",
        args_hash="8" * 64,
        decision="allow",
        policies=("deploy-by-devops", "window-open"),
        policy_hash="9" * 64,
        status="done" if kind is RecordKind.OUTCOME else "",
        body=intent if kind is RecordKind.INTENT else outcome,
    )
    return entry.canonical()


def generated(records: int, key: SigningKey) -> Iterator[Link]:
    """Return the links of a chain of so many records, checkpoints among them."""
    templates = {kind: _template(kind) for kind in (RecordKind.INTENT, RecordKind.OUTCOME)}
    head = EMPTY
    for number in range(1, records + 1):
        at = BEGAN + timedelta(milliseconds=40 * number)
        if number % (EVERY + 1) == 0:
            made = Checkpoint.signed(key, head, at)
            place = ROOT if number == EVERY + 1 else PLAIN
            entry = AuditEntry(
                kind=RecordKind.CHECKPOINT,
                cycle_id=SCOPE,
                actor=SCOPE,
                key=place,
                status="signed",
                body=made.model_dump(),
            )
            link = link_of(AuditRecord.seal(number, at, head.hash, entry))
        else:
            link = _filled(templates, number, at, head.hash)
        head = Head(number, link.hash)
        yield link


def _filled(templates: dict[RecordKind, str], number: int, at: datetime, previous: str) -> Link:
    kind = RecordKind.INTENT if number % 2 else RecordKind.OUTCOME
    cycle, name = f"{number // A_CYCLE:09d}", f"{(number + 1) // 2:012d}"
    entry = templates[kind].replace(f"{_PLACE}_c", cycle).replace(f"{_PLACE}_k", name)
    text = f'{{"at":"{at.isoformat()}","entry":{entry},"previous":"{previous}","sequence":{number}}}'
    return Link(number, kind.value, f"si_{cycle}", name, text, hashlib.sha256(text.encode()).hexdigest())


def measure(folder: Path, clock: Clock, records: int = RECORDS) -> Section:
    """Generate a chain, prove it on one core in one process, and hash the same bytes with nothing else."""
    keys = Keys(folder)
    chain = SqliteAudit(folder / "long.db", SystemClock())
    generating = timed(clock, lambda: chain.refill(generated(records, keys.current())))
    signed = SignedAudit(chain, keys, SystemClock(), anchor=folder / HEAD)
    count, checkpoints = 0, 0

    def prove() -> None:
        nonlocal count, checkpoints
        count, found = signed.proven()
        checkpoints = found.checkpoints

    proving = timed(clock, prove)
    chain.close()
    hashing, reading, size = _bare(folder / "long.db", clock)
    if count != records:
        raise ValueError(f"{count} records were proved of {records}")
    rows = [
        _row("verify: hashes, order, index, signatures", records, proving, hashing, size),
        _row("floor: reading the same rows", records, reading, hashing, size),
        _row("floor: bare SHA-256 of the same bytes", records, hashing, hashing, size),
        _row("generating the chain (no part of it)", records, generating, hashing, size),
    ]
    note = f"one process, one core; {checkpoints} signed checkpoints; {size / records:.0f} bytes a record"
    return Section("audit", f"an audit chain of {records:,} records", rows, note)


def _row(name: str, records: int, seconds: float, floor: float, size: int) -> dict[str, str | float | int | None]:
    return {
        "step": name,
        "seconds": seconds,
        "records a minute": 60 * records / seconds,
        "us a record": 1e6 * seconds / records,
        "MB a second": size / seconds / 1e6,
        "times the bare hash": seconds / floor,
    }


def _bare(path: Path, clock: Clock) -> tuple[float, float, int]:
    """Seconds of hashing every text, seconds of reading them, and their bytes."""
    hashing, reading, size = 0.0, 0.0, 0
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT sequence, kind, cycle_id, key, body, hash FROM records ORDER BY sequence")
        while True:
            begun = clock.monotonic()
            batch = rows.fetchmany(_BATCH)
            reading += clock.monotonic() - begun
            if not batch:
                return hashing, reading, size
            texts = [row[4].encode() for row in batch]
            size += sum(map(len, texts))
            hashing += timed(clock, partial(_hashed, texts))


def _hashed(texts: list[bytes]) -> list[str]:
    return [hashlib.sha256(text).hexdigest() for text in texts]
