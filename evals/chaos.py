"""The fault matrix and the crash matrix, run and told: ``python -m evals.chaos``; what `make chaos` does.

The experiments stand in `tests/chaos`, so this works in a checkout and not in an installed wheel. Ends with 1 when a
cell is unsafe. With ``--results`` the results of several runs, e.g. of one dependency each, are put together.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from domain.clock import SystemClock

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "safety.md"
CRASHES = "crashes"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for and return the exit code."""
    asked = _parser().parse_args(arguments)
    if not (ROOT / "tests" / "chaos").is_dir():
        print("the experiments stand in tests/chaos of a checkout: run it there", file=sys.stderr)
        return 2
    sys.path.insert(0, str(ROOT))
    import tests.conftest  # noqa: F401 - no telemetry, and no setting of the machine that changes an answer

    folder = Path(tempfile.mkdtemp(prefix="evercrew-chaos-"))
    try:
        return _Suite(asked, folder).run()
    finally:
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)


class _Suite:
    """One run."""

    def __init__(self, asked: argparse.Namespace, folder: Path) -> None:
        from tests.chaos.runner import Runner

        self._asked = asked
        self._clock = SystemClock()
        self._runner = Runner(folder, keep=asked.keep)
        self._unsafe: list[str] = []
        self._missed = 0
        self._until = 0.0

    def run(self) -> int:
        from tests.chaos import table

        self._until = self._clock.monotonic() + 60 * self._asked.minutes
        self._runner.prepare()
        known = table.kept(self._asked.results) if self._asked.results else {}
        results: dict[str, Any] = {**known, **self._cells()}
        if not self._asked.no_crashes:
            results[CRASHES] = self._crashes()
        if self._asked.results:
            self._asked.results.write_text(json.dumps(results, indent=1))
        crashes = results.get(CRASHES, [])
        print(table.as_text(results), *crashes, sep="\n")
        if not self._asked.no_page:
            table.write(PAGE, results, crashes)
        print(f"\n{len(self._unsafe)} unsafe, {self._missed} not run", *self._unsafe, sep="\n  UNSAFE ")
        return 1 if self._unsafe or self._missed else 0

    def _cells(self) -> dict[str, str]:
        from tests.chaos.catalog import BY_NAME, cells
        from tests.chaos.table import UNSAFE

        wanted = [cell for cell in cells() if self._asked.only.lower() in cell.name.lower()]
        missing = {site.name: site.missing() for site in BY_NAME.values() if site.missing()}
        for name, what in missing.items():
            print(f"skipped: {name} needs {what}", file=sys.stderr)
        wanted = [cell for cell in wanted if cell.dependency not in missing]
        found: dict[str, str] = {}
        # A fifth of the time is for the deaths.
        until = self._until - (0 if self._asked.no_crashes else 12 * self._asked.minutes)
        for number, result in enumerate(self._runner.run(wanted, self._asked.workers, until), start=1):
            found[result.cell.name] = UNSAFE if result.unsafe else result.said
            place = f"{number}/{len(wanted)} {result.cell.name} ({result.seconds:.0f} s)"
            self._tell(place, result.said, result.unsafe)
        self._missed += len(wanted) - len(found)
        return found

    def _crashes(self) -> list[str]:
        from tests.chaos.crashes import PATHS, Crashes, backends

        said = []
        with backends() as made:
            left = len(made) * len(PATHS)
            for backend in made:
                for path in PATHS:
                    seconds = max(self._until - self._clock.monotonic(), 0.0) / left
                    said.append(self._deaths(Crashes(self._runner), backend, path, seconds))
                    left -= 1
        return said

    def _deaths(self, crashes: Any, backend: Any, path: str, seconds: float) -> str:
        """Die at every place of a path, or at as many as the time allows."""
        from tests.chaos.crashes import Crash

        started = self._clock.monotonic()
        counted = crashes.counted(path, backend.fresh(), backend.name)
        self._tell(counted.crash.name, f"{counted.writes} places", counted.unsafe)
        took = self._clock.monotonic() - started
        places = backend.places(counted.writes, int(seconds * self._asked.workers / max(took, 0.1)))
        bad = 0
        wanted = [Crash(path, at, backend.name, backend.fresh()) for at in places]
        for found in crashes.run(wanted, self._asked.workers):
            bad += bool(found.unsafe)
            self._tell(found.crash.name, "ended as it should", found.unsafe)
        ends = f"{bad} UNSAFE" if bad else "every cycle ended as it would have, each effect once"
        return f"{backend.name}, {path}: {len(places)} of {counted.writes} places; {ends}"

    def _tell(self, what: str, said: str, unsafe: list[str]) -> None:
        print(f"{what}: {'UNSAFE' if unsafe else said}", file=sys.stderr)
        for problem in unsafe:
            self._unsafe.append(f"{what}: {problem}")
            print(f"    {problem}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evals.chaos", description=__doc__)
    parser.add_argument("--only", default="", help="cells whose name has this in it")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--results", type=Path, help="a file in which results of several runs are put together")
    parser.add_argument("--minutes", type=float, default=14.0, help="what has not begun by then is not run")
    parser.add_argument("--no-crashes", action="store_true", help="only the matrix of faults")
    parser.add_argument("--no-page", action="store_true", help="leave docs/safety.md as it is")
    parser.add_argument("--keep", action="store_true", help="keep the folders of all cells")
    return parser


if __name__ == "__main__":
    sys.exit(main())
