"""The audit chain in a backup: its head is noted, and a chain in a database server goes along as a file.

The private key of the checkpoints and the anchor beside the artifacts stay where they are: a key that is copied to
where backups are is no secret any more, and an anchor has to be newer than what it is held against.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from adapters.audit.base import Head, Link
from adapters.audit.walk import Walk
from domain.clock import Clock
from domain.errors import ChainBroken, ConflictError, IntegrityError
from service.auditing import chain_of, in_a_server
from service.config import Config

LINES = "audit.jsonl"
"""The chain, where it is in a database server."""
FILE = "audit.db"
"""The chain, where it is a file outside of the state folder."""


def left_out(config: Config) -> list[Path]:
    """Return the files of the state folder that no backup holds."""
    from adapters.audit.keys import KEY, NEXT
    from adapters.audit.signed import HEAD

    return [config.state / KEY, config.state / NEXT, config.state / "artifacts" / HEAD]


def place_of(config: Config) -> dict[str, Path]:
    """Return the chain's file by its name in a backup, where it is outside of the state folder."""
    outside = config.audit_url and not in_a_server(config) and not config.audit_file.is_relative_to(config.state)
    return {FILE: config.audit_file} if outside else {}


def dumped(config: Config, into: Path, clock: Clock) -> Head:
    """Write the chain of a database server to a file, as it stands at one moment, and return its head.

    Raises:
        AuditUnavailable: it cannot be read.
    """
    with ExitStack() as closing:
        chain = chain_of(config, clock)
        closing.callback(chain.close)
        walk = Walk()
        with into.open("w", encoding="utf-8") as out:
            for link in chain.links():
                walk.step(link)
                out.write(json.dumps(link, ensure_ascii=False) + "\n")
    return Head(walk.count, walk.last)


def links_of(file: Path) -> Iterator[Link]:
    """Return the links of a file that was `dumped`."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                yield Link._make(json.loads(line))
            except (ValueError, TypeError) as problem:
                raise ChainBroken(f"{file.name}: a line of it cannot be read: {problem}") from problem


def head_of(file: Path, clock: Clock) -> Head:
    """Walk the chain in a file of a backup and return its head.

    Raises:
        ChainBroken: it does not verify.
    """
    if file.suffix == ".jsonl":
        walk = Walk()
        walk.through(links_of(file))
        return Head(walk.count, walk.last)
    from adapters.audit.sqlite import SqliteAudit

    audit = SqliteAudit(file, clock)
    try:
        audit.verify()
        return audit.head()
    finally:
        audit.close()


def proven(places: list[Path], facts: dict[str, Any], clock: Clock) -> int | None:
    """Walk the chain that was fetched, hold it against what was noted, and return the number of its records.

    Raises:
        IntegrityError: it is not what was noted.
    """
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        return None
    count, last = head_of(found, clock)
    noted = facts.get("audit_records"), facts.get("audit_head")
    if noted != (count, last):
        raise IntegrityError(f"the audit chain ends with {last[:12]}, the manifest says {str(noted[1])[:12]}")
    return count


def restored(config: Config, file: Path, clock: Clock) -> bool:
    """Fill the chain of the database server from a file; False, and nothing is changed, where it is not empty.

    Raises:
        AuditUnavailable: the server cannot be reached.
    """
    chain = chain_of(config, clock)
    try:
        chain.refill(links_of(file))
    except ConflictError:
        return False
    finally:
        chain.close()
    return True
