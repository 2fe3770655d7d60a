"""What the processes that die, and those that come after them, run."""

from __future__ import annotations

import json
import os
import traceback
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.durability.wiring import Instead

# Loaded once, in the process that all others are forked from.
PRELOADED = [
    "cycles.verify",
    "dbos",
    "dvc.repo",
    "mlflow",
    "mlflow.artifacts",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "tests.durability.wiring",
]


def template(folder: str) -> None:
    """Make the template."""
    from tests.durability.wiring import make_template

    _quiet(Path(folder))
    make_template(Path(folder))


def run(folder: str, path: str, point: str, instead: Instead | None = None) -> None:
    """Run the cycle of a test's folder, or go on with it, until it ends or the process dies at `point`.

    The first process finishes the folder and opens the cycle; the last one leaves `result.json`.
    """
    here = Path(folder)
    _quiet(here)
    try:
        _run(here, path, point, instead)
    except BaseException:
        (here / "error.txt").write_text(traceback.format_exc())
        raise


def _run(folder: Path, path: str, point: str, instead: Instead | None) -> None:
    from cycles.verify import verify
    from tests.durability.wiring import PATHS, build, prepare
    from tests.support.setting import alert_of

    if not (folder / "setup.json").exists():
        prepare(folder, path)
    rig = build(folder, path, point, instead)
    alert = alert_of(PATHS[path], rig.clock).model_copy(update={"starts_at": rig.world.alert_at})
    cycle = next(iter(rig.store.cycles()), None) or rig.open(alert)
    rig.engine.launch()
    rig.engine.start(cycle.id)
    end = rig.engine.wait(cycle.id, timedelta(seconds=120))
    checks = verify(cycle.id, rig.evidence())
    rig.workflow.close()
    told = {
        "cycle_id": cycle.id,
        "outcome": end.outcome,
        "stage": end.stage,
        "reason": end.reason,
        "effects": [effect["name"] for effect in end.facts["effects"]],
        "unproven": [f"{c.name}: {c.detail}" for c in checks if not c.ok],
    }
    (folder / "result.json").write_text(json.dumps(told))


def _quiet(folder: Path) -> None:
    """Send what vendors write to the terminal into the folder's log."""
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
