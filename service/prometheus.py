"""A Prometheus server of our own, for a demo that goes through the real thing."""

from __future__ import annotations

import shutil
import socket
import subprocess
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import yaml

from domain.clock import Clock, SystemClock
from domain.errors import DependencyUnavailable

READY = timedelta(seconds=20)


class Prometheus:
    """Starts the `prometheus` program on a free port of this machine and stops it again."""

    def __init__(self, program: str, clock: Clock | None = None) -> None:
        self._program = program
        self._clock = clock or SystemClock()
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def find(cls) -> Prometheus | None:
        """Return the program on the PATH, or None."""
        program = shutil.which("prometheus")
        return cls(program) if program else None

    def start(self, folder: Path, platform: str) -> str:
        """Scrape the platform's /metrics twice a second, keeping data in `folder`, and return the server's URL.

        Raises:
            DependencyUnavailable: it does not get ready.
        """
        folder.mkdir(parents=True, exist_ok=True)
        jobs = [{"job_name": "platform", "static_configs": [{"targets": [urlsplit(platform).netloc]}]}]
        config = {"global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"}, "scrape_configs": jobs}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        command = [
            self._program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--web.external-url={url}",
        ]
        with (folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self._wait(url, folder)
        return url

    def stop(self) -> None:
        """Stop the server."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None

    def _wait(self, url: str, folder: Path) -> None:
        until = self._clock.now() + READY
        while self._clock.now() < until:
            try:
                if httpx.get(f"{url}/-/ready", timeout=1, trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                self._clock.sleep(timedelta(milliseconds=50))
        self.stop()
        raise DependencyUnavailable("prometheus", "it did not get ready", f"See {folder / 'prometheus.log'}")
