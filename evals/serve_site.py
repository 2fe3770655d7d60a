"""A site for the benches of `evercrew serve`: a configuration, and the real command as a process of its own.

The platform behind it does not answer and all but one cycle a day are beyond its limits, so that a cycle ends within a
second of its alert and the bench is about the way there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import yaml

from domain.clock import SystemClock
from domain.errors import DependencyTimeout, DependencyUnavailable
from policies.packaged import packaged_profile
from testbed.servers.base import free_port

TOKEN = "bench-token-of-senders"
NOWHERE = "http://127.0.0.1:9"
READY = timedelta(seconds=120)
_LOOK = timedelta(milliseconds=25)
_IDLE_S = 0.15
_PATH = "/usr/local/bin:/usr/bin:/bin"


def write_site(folder: Path, sections: Mapping[str, Any] | None = None, *, cycles_per_day: int = 1) -> Path:
    """Write the configuration of a site into a folder, with what it names, and return its path.

    Args:
        sections: laid over the configuration, `serve` over its section.
    """
    given = dict(sections or {})
    folder.mkdir(parents=True, exist_ok=True)
    profile = yaml.safe_load(packaged_profile("dev"))
    profile["max_cycles_per_day"] = cycles_per_day
    (folder / "profile.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    (folder / "sealed.jsonl").write_text("", encoding="utf-8")
    remote = folder / "values.git"
    if not remote.exists():
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(remote)], check=True)
    unlimited = {"per_minute": 10_000_000, "burst": 1_000_000}
    serve = {"webhooks": dict.fromkeys(("alertmanager", "grafana", "generic"), unlimited), "metrics_open": True}
    content = {
        "profile": "profile.yaml",
        "state": "state",
        "platform": {"url": NOWHERE},
        "metrics": {"url": f"{NOWHERE}/metrics"},
        "values": {"remote": str(remote)},
        "tracking": {"uri": f"sqlite:///{folder}/mlflow.db", "artifacts": str(folder / "mlruns")},
        "datasets": {"repository": "datasets", "remote": str(folder / "dvc-remote")},
        "evaluation": {"sealed": "sealed.jsonl"},
        **given,
        "serve": {**serve, **given.get("serve", {})},
    }
    file = folder / "evercrew.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def processor_s(pid: int) -> float:
    """Return the seconds of processor a process has used; zero where the system does not tell."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Served:
    """`evercrew serve` on a site; started again under the same port after a kill."""

    config: Path
    port: int = field(default_factory=free_port)
    words: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    scheme: str = "http"
    starts: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def out(self) -> str:
        """What it printed."""
        return self._file("out").read_text(encoding="utf-8")

    @property
    def log(self) -> str:
        """What it logged."""
        return self._file("log").read_text(encoding="utf-8")

    def start(self) -> None:
        """Start it; it does not answer yet."""
        settings = {
            "PATH": _PATH,
            "HOME": str(self.config.parent),
            "OMP_NUM_THREADS": "1",
            "EVERCREW_HOME": str(self.config.parent / "cache"),
            "EVERCREW_WEBHOOK_TOKEN": TOKEN,
            "EVERCREW_TRACES": "none",
            "EVERCREW_LOG_FORMAT": "json",
            **self.settings,
        }
        words = [sys.executable, "-m", "service.cli", "serve", "--config", str(self.config), "--port", str(self.port)]
        with self._file("out").open("ab") as out, self._file("log").open("ab") as log:
            self.process = subprocess.Popen([*words, *self.words], stdout=out, stderr=log, env=settings)
        self.starts += 1

    def ready(self, path: str = "/healthz", patience: timedelta = READY) -> None:
        """Wait until it answers.

        Raises:
            DependencyUnavailable: it has ended instead. DependencyTimeout: it took too long.
        """
        clock = SystemClock()
        until = clock.monotonic() + patience.total_seconds()
        with httpx.Client(verify=False, timeout=5) as client:
            while clock.monotonic() < until:
                if self.process is None or self.process.poll() is not None:
                    raise DependencyUnavailable("serve", f"it has ended: {self.log[-2000:]}")
                try:
                    if client.get(f"{self.url}{path}").status_code == httpx.codes.OK:
                        return
                except httpx.TransportError:
                    pass
                clock.sleep(_LOOK)
        raise DependencyTimeout("serve", f"it does not answer within {patience}: {self.log[-2000:]}")

    def settle(self, patience: timedelta = timedelta(seconds=60)) -> None:
        """Wait until it has loaded what it loads in the background: until it does next to nothing for a second."""
        clock = SystemClock()
        until = clock.monotonic() + patience.total_seconds()
        used = self.processor_s()
        while clock.monotonic() < until:
            clock.sleep(timedelta(seconds=1))
            before, used = used, self.processor_s()
            if used - before < _IDLE_S:
                return

    def processor_s(self) -> float:
        """Return the seconds of processor it has used."""
        assert self.process is not None, "it was not started"
        return processor_s(self.process.pid)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self, patience: timedelta = timedelta(seconds=60)) -> int:
        """End it in order, and return its exit code."""
        assert self.process is not None, "it was not started"
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patience.total_seconds())

    def _file(self, kind: str) -> Path:
        return self.config.parent / f"serve-{self.port}.{kind}"
