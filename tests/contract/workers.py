"""Worker processes for tests."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from adapters.worker import Worker
from domain.clock import Clock, SystemClock

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"}


def worker(
    *, confined: bool = False, quiet: bool = False, hidden: Sequence[Path] = (), clock: Clock | None = None
) -> Worker:
    """A worker with a bare environment, with bubblewrap where it is installed and `confined` asks for it."""
    return Worker(
        name="evaluation" if quiet else "training",
        environment=ENVIRONMENT,
        clock=clock or SystemClock(),
        hidden=hidden,
        bubblewrap=shutil.which("bwrap") if confined else None,
        quiet=quiet,
    )
