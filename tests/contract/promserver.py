"""A real Prometheus, where it is installed."""

from __future__ import annotations

import http.client
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from pathlib import Path

import pytest

from tests.contract.metrics_contract import History

PROGRAMS = ("prometheus", "promtool")
needs_prometheus = pytest.mark.skipif(
    any(shutil.which(name) is None for name in PROGRAMS), reason="prometheus and promtool are not installed"
)


@contextmanager
def prometheus(folder: Path, *, scrape: str | None = None) -> Iterator[str]:
    """Run Prometheus over `folder`/data, scraping host:port `scrape` every 0.2 s, and give its address."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    jobs = f"\n- job_name: test\n  static_configs: [{{targets: ['{scrape}']}}]" if scrape else " []"
    config = folder / "prometheus.yml"
    config.write_text(f"global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\nscrape_configs:{jobs}\n")
    log = (folder / "log").open("wb")
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=3650d"]
    dies_with_us = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
    process = subprocess.Popen([*dies_with_us, *command], stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_ready(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        log.close()


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


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _wait_ready(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(1000):
        if process.poll() is not None:
            raise AssertionError(f"prometheus ended with {process.returncode}")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            connection.request("GET", "/-/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.01)
    raise AssertionError("prometheus did not become ready")
