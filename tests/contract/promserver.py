"""A real Prometheus, where it is installed, and a history to fill it with."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from pathlib import Path

import pytest

from testbed.servers.base import free_port
from testbed.servers.prometheus import Prometheus
from tests.contract.metrics_contract import History

__all__ = ["backfill", "free_port", "needs_prometheus", "prometheus"]

PROGRAMS = ("prometheus", "promtool")
needs_prometheus = pytest.mark.skipif(
    any(shutil.which(name) is None for name in PROGRAMS),
    reason="prometheus and promtool are not installed: apt-get install prometheus",
)


@contextmanager
def prometheus(folder: Path, *, scrape: str | None = None) -> Iterator[str]:
    """Run Prometheus over `folder`/data, scraping host:port `scrape` every 0.2 s, and give its address."""
    targets = {"test": scrape} if scrape else {}
    with Prometheus(folder, targets=targets, interval=0.2, retention="3650d") as server:
        yield server.url


def backfill(folder: Path, histories: Iterable[History], start: datetime) -> None:
    """Write the histories into `folder`/data as Prometheus' own blocks."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for metric, group in groupby(histories, key=lambda history: history.metric):
        lines.append(f"# TYPE {metric} unknown")
        for history in group:
            labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in history.labels.items())
            for offset, value in history.samples:
                lines.append(f"{metric}{{{labels}}} {value} {start.timestamp() + offset}")
    page = folder / "history.txt"
    page.write_text("\n".join([*lines, "# EOF", ""]), encoding="utf-8")
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(page), str(folder / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"promtool failed: {done.stderr}")


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
