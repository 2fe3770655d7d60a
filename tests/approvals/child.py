"""What the processes that wait for people run."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from domain.events import Event
from domain.stage import Stage
from tests.durability import child
from tests.durability.wiring import Instead

# Ten hours that run fifty times as fast: people have twelve minutes.
PATIENT = Instead(profile={"poll": {"delivery": "1s", "delivery_timeout": "1h", "approval_timeout": "10h"}})


def waits(folder: Path, process: int) -> Path:
    """Return the file that is there once a process waits for people."""
    return folder / f"waits-{process}"


def run(folder: str, point: str) -> None:
    """Run the rollback of a test's folder, or go on with it, until it ends or the process dies at `point`."""
    mark = waits(Path(folder), os.getpid())

    def told(event: Event) -> None:
        if (event.kind, event.stage, event.what) == ("stage", Stage.ROLL_BACK.value, "wait"):
            mark.touch()

    child.run(folder, "rollback", point, replace(PATIENT, observer=told))
