"""Waiting for the one writer that SQLite has at a time, when it is in another process.

SQLite itself has whoever waits look again in pauses that soon are a tenth of a second long. A transaction of ours is
over in a few milliseconds, most of them a flush: so it is looked for at short pauses first, and at longer ones where
somebody holds the database for long.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import timedelta

from domain.clock import SystemClock

BEGIN = "BEGIN IMMEDIATE"
_FIRST, _LONGEST, _GROWTH = timedelta(microseconds=200), timedelta(milliseconds=5), 1.05


def begun(begin: Callable[[], object], busy: timedelta) -> bool:
    """Call `begin` until the database is free; return False when it was not for as long as `busy`.

    And at once when something else keeps it from beginning: whoever asked begins once more, and is told in their way.

    `begin` itself must not wait: its connection has no busy timeout.
    """
    clock, pause = SystemClock(), _FIRST
    until = clock.monotonic() + busy.total_seconds()
    while True:
        try:
            begin()
            return True
        except sqlite3.Error as problem:
            if "locked" not in str(problem):
                return False
        if clock.monotonic() >= until:
            return False
        clock.sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST)
