"""Entry points that run on nodes of a Ray cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def look(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Say what came along, and write a folder."""
    (out / "deep" / "er").mkdir(parents=True)
    (out / "deep" / "er" / "file.txt").write_text("found")
    given = Path(spec["dataset"])
    return {"files": sorted(path.name for path in given.iterdir()), "same": str(given) == spec["was"]}


def count(spec: Mapping[str, Any], _out: Path) -> dict[str, Any]:
    """Add a line to a file for each try, and wait as long as another file is not there."""
    with Path(spec["tries"]).open("a") as tries:
        tries.write(f"{os.getpid()}\n")
    until = time.monotonic() + 60
    while not Path(spec["go"]).exists() and time.monotonic() < until:
        time.sleep(0.05)
    return {"done": True}
