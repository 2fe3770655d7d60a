"""The two processes of a cell: one in which the fault happens, and a sound one that comes after it and is the judge."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.durability.child import PRELOADED, _quiet

PRELOAD = [*PRELOADED, "tests.chaos.catalog", "tests.chaos.judge", "crews.judges"]
# Real seconds that the process with a lasting fault is watched before it is killed. One whose fault passes goes on by
# itself, however slow the machine is.
PATIENCE = timedelta(seconds=4)
RECOVERY = timedelta(seconds=80)
HANGS_S = 200
BUSY = timedelta(seconds=0.2)
# Virtual durations: what is waited for in minutes would be waited for in vain.
PROFILE = {"poll": {"delivery": "1s", "delivery_timeout": "40s", "approval": "1s", "approval_timeout": "4h"}}


def suffer(folder: str, cell: Any) -> None:
    """Run the cell's cycle with its fault until it ends; when it does not, tell how it stands and die."""
    told_in(Path(folder), "first", lambda here: _suffered(here, cell))


def recover(folder: str, cell: Any) -> None:
    """Go on with the cycle in a sound process, and judge what is found."""
    told_in(Path(folder), "second", lambda here: _recovered(here, cell))


def told_in(folder: Path, name: str, work: Callable[[Path], dict[str, Any]]) -> None:
    """Do the work of a process and leave what it tells in the folder; how it failed stands in its log."""
    _quiet(folder)
    # What a process that hangs was at is the evidence against it.
    faulthandler.dump_traceback_later(HANGS_S, file=(folder / "stacks.txt").open("w"))
    told = work(folder)
    (folder / f"{name}.json").write_text(json.dumps(told, default=str))


def _suffered(folder: Path, cell: Any) -> dict[str, Any]:
    from tests.chaos.catalog import BY_NAME
    from tests.chaos.injector import Injector
    from tests.durability.wiring import PATHS, build, prepare
    from tests.support.setting import alert_of

    prepare(folder, cell.path)
    with ExitStack() as closing:
        site = BY_NAME[cell.dependency](folder, closing)
        injector = Injector(
            cell.begins,
            lambda: site.hurt(cell.fault.kind),
            site.heal,
            lasting=cell.fault.stays,
            shows=site.always_asked,
        )
        instead = replace(site.instead(), observer=injector, busy=BUSY, profile=PROFILE)
        rig = build(folder, cell.path, "", instead)
        site.attach(rig)
        cycle = rig.open(alert_of(PATHS[cell.path], rig.clock).model_copy(update={"starts_at": rig.world.alert_at}))
        rig.engine.launch()
        rig.engine.start(cycle.id)
        injector.has_begun.wait(HANGS_S)
        ended, problem = _waited(rig, cycle.id, injector, PATIENCE if cell.fault.stays else RECOVERY)
        told = {
            "ended": ended,
            "begun": injector.begun,
            "problem": problem,
            "failed_calls": injector.failed_calls,
            "held": injector.held,
            "begins": injector.begins,
            "notes": injector.notes[-20:],
        }
        if ended:
            injector.close()
            rig.workflow.close()
        else:
            # It dies with everything open; what was taken away of its surroundings comes back for the next.
            (folder / "first.json").write_text(json.dumps(told, default=str))
            site.heal()
            os.kill(os.getpid(), signal.SIGKILL)
    return told


def _waited(rig: Any, cycle_id: str, injector: Any, patience: timedelta) -> tuple[bool, str]:
    """Wait for as long as the cycle comes on, and return whether it ended, and what was wrong with the workflow."""
    from domain.errors import DependencyError, DependencyTimeout

    seen = 0
    while True:
        try:
            rig.workflow.result(cycle_id, patience)
        except DependencyTimeout:
            if len(injector.stages) == seen:
                return False, ""
            seen = len(injector.stages)
        except DependencyError as failure:
            return True, str(failure)
        else:
            return True, ""


def _recovered(folder: Path, cell: Any) -> dict[str, Any]:
    from domain.errors import DependencyError
    from tests.chaos.catalog import BY_NAME
    from tests.chaos.judge import judged
    from tests.durability.wiring import build

    with ExitStack() as closing:
        site = BY_NAME[cell.dependency](folder, closing)
        rig = build(folder, cell.path, "", replace(site.instead(), profile=PROFILE))
        site.attach(rig)
        cycle = next(iter(rig.store.cycles()), None)
        if cycle is None:
            return {"unsafe": ["the cycle is not in the store any more"], "outcome": "", "stage": "", "reason": ""}
        rig.engine.launch()
        lost = ""
        try:
            rig.workflow.result(cycle.id, RECOVERY)
        except DependencyError as failure:
            lost = str(failure)
        verdict = judged(folder, cell, rig, cycle.id, lost)
        rig.workflow.close()
    return verdict
