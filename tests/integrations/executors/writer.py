"""A process that holds a lease and writes flags as fast as it can, until it finds itself fenced.

python -m tests.integrations.executors.writer URL
"""

from __future__ import annotations

import sys
from datetime import timedelta

from adapters.database import Database
from adapters.executors.base import Fenced
from adapters.executors.sqlalchemy import SqlExecutors, fence_of
from adapters.store.base import FlagRow
from adapters.store.sqlalchemy import SqlStore
from domain.clock import SystemClock
from domain.errors import DependencyError


def main(url: str) -> int:
    """Write until it is refused; 7 says that it was, by the fence."""
    lease = SqlExecutors(Database(url)).join("writer", timedelta(seconds=1))
    database = Database(url)
    database.fence = fence_of(lease)
    store, clock = SqlStore(database), SystemClock()
    for number in range(1_000_000):
        try:
            store.set_flag(FlagRow(name=f"flag-{number}", enabled=True), by="writer", at=clock.now())
        except Fenced:
            return 7
        except DependencyError:
            continue  # the server ended the transaction it was paused in
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
