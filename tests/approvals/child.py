"""What the processes that wait for people run."""

from __future__ import annotations

from tests.durability import child
from tests.durability.wiring import Instead

# Ten hours that run fifty times as fast: people have twelve minutes.
PATIENT = Instead(profile={"poll": {"delivery": "1s", "delivery_timeout": "1h", "approval_timeout": "10h"}})


def run(folder: str, point: str) -> None:
    """Run the rollback of a test's folder, or go on with it, until it ends or the process dies at `point`."""
    child.run(folder, "rollback", point, PATIENT)
