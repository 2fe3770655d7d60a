"""A writer in a process of its own: appends so many records to the chain at a place, and prints their numbers."""

from __future__ import annotations

import sys
from pathlib import Path

from adapters.audit.chain import DatabaseChain
from adapters.audit.postgresql import PostgresAudit
from adapters.audit.sqlite import SqliteAudit
from domain.clock import SystemClock
from tests.contract.audit_contract import entry


def chain_at(place: str) -> DatabaseChain:
    """Open the chain at a URL or a path."""
    clock = SystemClock()
    return PostgresAudit(place, clock) if place.startswith("postgresql") else SqliteAudit(Path(place), clock)


def main() -> None:
    place, name, count = sys.argv[1:]
    chain = chain_at(place)
    sys.stdin.readline()
    made = [chain.append(entry(key=f"{name}/{number}")).sequence for number in range(int(count))]
    sys.stdout.write(" ".join(map(str, made)) + "\n")


if __name__ == "__main__":
    main()
