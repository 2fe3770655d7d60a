"""Runs cells, each in processes of its own with a budget; one that hangs is killed and counts as unsafe."""

from __future__ import annotations

import json
import math
import multiprocessing
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from domain.clock import SystemClock
from testbed.servers.postgres import Postgres
from tests.chaos.catalog import BY_NAME, Cell
from tests.chaos.child import PRELOAD, recover, suffer
from tests.chaos.database_sites import DATABASE, WHERE
from tests.durability import child as durability

BUDGET_S = 300.0
Told = dict[str, Any]


@dataclass
class Result:
    """What became of one cell; `said` is its safe result in words, `unsafe` every invariant it broke."""

    cell: Cell
    said: str = ""
    unsafe: list[str] = field(default_factory=list)
    seconds: float = 0.0
    told: dict[str, Any] = field(default_factory=dict)


class Runner:
    """A server with the heavy imports done, and a template that cells are copied from."""

    def __init__(self, folder: Path, *, keep: bool = False) -> None:
        self.folder = folder
        self._keep = keep
        self._clock = SystemClock()
        self.context: ForkServerContext = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(PRELOAD)
        self.template = folder / "template"

    def prepare(self) -> None:
        """Make the template."""
        if not (self.template / "ready").exists():
            self.template.mkdir(parents=True, exist_ok=True)
            self.finished(durability.template, str(self.template))
            (self.template / "ready").touch()

    def finished(self, target: Callable[..., None], *arguments: Any, budget: float = BUDGET_S) -> int | None:
        """Run a process to its end and return its exit code; None when it was killed because its budget was over."""
        process = self.context.Process(target=target, args=arguments)
        process.start()
        process.join(budget)
        if process.exitcode is None:
            process.kill()
            process.join()
            return None
        return process.exitcode

    def run(self, wanted: Iterable[Cell], workers: int = 2, until: float = math.inf) -> Iterator[Result]:
        """Give the results as they come; what has not begun at the moment `until` of the clock is not run."""
        self.prepare()
        with ThreadPoolExecutor(workers) as pool:
            for future in as_completed([pool.submit(self._in_time, cell, until) for cell in wanted]):
                result = future.result()
                if result is not None:
                    yield result

    def _in_time(self, cell: Cell, until: float) -> Result | None:
        return None if self._clock.monotonic() > until else self.one(cell)

    def one(self, cell: Cell) -> Result:
        """Run one cell."""
        started = self._clock.monotonic()
        place = Path(shutil.copytree(self.template, self.folder / cell.name))
        with ExitStack() as around:
            if BY_NAME[cell.dependency].needs_server:
                server = around.enter_context(Postgres())
                server.database(DATABASE)
                (place / WHERE).write_text(str(server.folder))
            first = self.finished(suffer, str(place), cell)
            second = self.finished(recover, str(place), cell)
        result = judged(cell, first, second, _read(place / "first.json"), _read(place / "second.json"))
        result.seconds = self._clock.monotonic() - started
        if first not in (0, -signal.SIGKILL, None) or second not in (0, None):
            result.unsafe.append(f"ended with {first} and {second}: {tail(place)}")
        if not result.unsafe and not self._keep:
            shutil.rmtree(place, ignore_errors=True)
        return result


def judged(
    cell: Cell, first: int | None, second: int | None, suffered: dict[str, Any], after: dict[str, Any]
) -> Result:
    """Say in words what was observed."""
    unsafe = list(after.get("unsafe", ()))
    if first is None and not suffered:
        unsafe.append("the process hung, and was killed")
    if second is None:
        unsafe.append("the process that came after hung")
    if suffered and not suffered["begun"]:
        unsafe.append(f"the stage never began: {suffered}")
    said = _said(suffered, after)
    return Result(cell, said, unsafe, told={"first": suffered, "second": after})


def _said(suffered: Told, after: Told) -> str:
    outcome, wanted = after.get("outcome", ""), after.get("wanted", "")
    hindered = bool(suffered.get("failed_calls") or suffered.get("held"))
    if hindered and not suffered.get("ended", False):
        return f"holds, then {_word(outcome, wanted)}"
    if outcome != wanted or outcome == "rolled_back":
        return _word(outcome, "")
    return "waits, goes on" if hindered else "unaffected"


_WORDS = {
    "handed_off": "handed off",
    "not_promoted": "not promoted",
    "rolled_back": "rolled back",
    "unverified": "ends unverified",
    "stopped": "stopped",
    "left_alone": "left alone",
}


def _word(outcome: str, wanted: str) -> str:
    return "goes on" if outcome == wanted else _WORDS.get(outcome, outcome or "no outcome")


def tail(place: Path) -> str:
    """Return the end of what the processes of a cell wrote."""
    file = place / "log.txt"
    return file.read_text(errors="replace")[-1500:] if file.exists() else ""


def _read(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text())) if file.exists() else {}
