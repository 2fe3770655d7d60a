"""A process that takes from a ledger until it is refused, or dies while it holds a reservation.

Run as ``python -m tests.integrations.ledger.drain URL NAME [hold]``; prints a line for each reservation granted.
"""

from __future__ import annotations

import sys

from adapters.database import Database
from adapters.ledger.base import Account
from adapters.ledger.sqlalchemy import SqlLedger
from domain.budget import Amounts, Ceiling
from domain.clock import SystemClock
from domain.errors import BudgetExhausted

SHARED = Account(name="period/search/dev/2026-01-01", ceiling=Ceiling(usd_micros=1000))


def main(url: str, name: str, *, hold: bool) -> None:
    """Reserve seven at a time and settle five of it, until there is nothing left."""
    database = Database(url)
    ledger = SqlLedger(database, SystemClock())
    own = Account(name=f"cycle/{name}")
    for turn in range(1000):
        key = f"{name}.{turn}"
        try:
            ledger.reserve(key, (own, SHARED), Amounts(usd_micros=7), holder=name)
        except BudgetExhausted:
            break
        sys.stdout.write(f"{key}\n")
        sys.stdout.flush()
        if hold:
            sys.stdin.readline()
        ledger.settle(key, Amounts(usd_micros=5))
    database.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], hold=len(sys.argv) > 3)
