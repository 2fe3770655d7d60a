"""What the machinery costs, side by side in one run: door, policies, cycle, start-up, statistics.

`python -m evals.machinery [--json]`; takes about three minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from domain.clock import Clock, SystemClock
from evals import active, door, learnt, startup
from evals.sections import Section
from evals.tables import console
from service.settings import load

PARTS = ("gate", "startup", "learning", "cycle")


def parts(folder: Path, clock: Clock) -> dict[str, Callable[[], list[Section]]]:
    """The measurements by name, in the order they are made: what is disturbed most by others comes first."""
    return {
        "gate": lambda: door.measure(folder, clock),
        "startup": lambda: startup.measure(clock),
        "learning": learnt.measure,
        "cycle": lambda: active.measure(folder, load(), clock),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns 0 when everything could be measured."""
    parser = argparse.ArgumentParser(prog="python -m evals.machinery", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--only", default="", help=f"comma-separated, of {', '.join(PARTS)} (default: all)")
    given = parser.parse_args(arguments)
    wanted = [name.strip() for name in given.only.split(",") if name.strip()] or list(PARTS)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        parser.error(f"--only: {unknown[0]!r} is none of {', '.join(PARTS)}")
    told, clock = console(to_stderr=given.json), SystemClock()
    started, sections = clock.monotonic(), list[Section]()
    with tempfile.TemporaryDirectory(prefix="evercrew-bench-") as scratch:
        for name, part in parts(Path(scratch), clock).items():
            if name not in wanted:
                continue
            sections += (measured := part())
            for section in measured:
                told.print(section.table())
    seconds = clock.monotonic() - started
    told.print(f"measured in {seconds:.0f} s")
    if given.json:
        plain = {"seconds": seconds, "sections": {section.name: section.plain() for section in sections}}
        sys.stdout.write(json.dumps(plain, indent=2) + "\n")
    return 0 if all(section.rows for section in sections) else 1


if __name__ == "__main__":
    sys.exit(main())
