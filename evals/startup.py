"""How long a command takes to answer, and what the heavy imports cost it when it needs them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from statistics import median

from domain.clock import Clock
from evals.sections import Section, timed

TIMES = 10
ALLOWED_MS = 300.0
HELP = "import sys; sys.argv = ['evercrew', '--help']; from service.cli import main; main()"
HEAVY = ("crewai", "mlflow", "lightgbm", "sklearn", "dbos", "dvc.repo", "langchain_core.vectorstores", "cedarpy")


def measure(clock: Clock, times: int = TIMES, heavy: Sequence[str] = HEAVY) -> list[Section]:
    """Time `evercrew --help` beside `python -c pass`, in turn, and each heavy import once."""
    bare: list[float] = []
    helped: list[float] = []
    for _ in range(times):
        bare.append(timed(clock, lambda: _python("pass")))
        helped.append(timed(clock, lambda: _python(HELP)))
    nothing, shown = median(bare), median(helped)
    rows: list[dict[str, str | float | int | None]] = [
        {"what": "python -c pass", "ms": 1000 * nothing, "more than pass, ms": None, "allowed ms": None},
        {
            "what": "evercrew --help",
            "ms": 1000 * shown,
            "more than pass, ms": 1000 * (shown - nothing),
            "allowed ms": ALLOWED_MS,
        },
    ]
    for name in heavy:
        seconds = timed(clock, partial(_python, f"import {name}"))
        more = 1000 * (seconds - nothing)
        rows.append({"what": f"import {name}", "ms": 1000 * seconds, "more than pass, ms": more, "allowed ms": None})
    return [Section("startup", "start-up", rows, f"medians of {times}; imports once each, where they are used")]


def _python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
