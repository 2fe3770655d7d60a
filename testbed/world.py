"""A world: one directory with a whole small search platform in it, and the two processes that bring it to life."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

import httpx

from testbed import clock
from testbed.bootstrap import make_world
from testbed.layout import Layout
from testbed.process import ProcessError, end, spawn
from testbed.servers.base import free_port
from testbed.universe import Control

_START_SECONDS = 60.0
_POLL_SECONDS = 0.02


class World:
    """`start` and `stop` its processes; also a context manager that does both."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root.resolve())
        self.url = ""
        self._server: subprocess.Popen[bytes] | None = None
        self._traffic: subprocess.Popen[bytes] | None = None

    @property
    def root(self) -> Path:
        """The world's directory."""
        return self.layout.root

    def start(self, *, rate: float | None = None, traffic: bool = True, port: int | None = None) -> str:
        """Start the service (and its users, at `rate` sessions a second) and return its base URL once it answers.

        Raises:
            ProcessError: the service ends or does not answer within a minute; the message holds its last words.
        """
        if self._server is not None:
            raise ProcessError("the world is running: stop it first")
        port = free_port() if port is None else port
        self.url = f"http://127.0.0.1:{port}"
        if rate is not None:
            self.control(rate=rate)
        output = self.layout.state / "logs" / "server.out"
        self._server = spawn("testbed.server", [str(self.root), "--port", str(port)], output)
        if traffic:
            self.start_traffic()
        self._wait(output)
        self.layout.endpoint.write_text(json.dumps({"url": self.url}), encoding="utf-8")
        return self.url

    def start_traffic(self) -> None:
        """Start the users."""
        sink = self.layout.truth / "traffic.out"
        self._traffic = spawn("testbed.traffic", [str(self.root), "--url", self.url], sink)

    def stop(self) -> None:
        """Stop the users, then the service."""
        for process in (self._traffic, self._server):
            if process is not None:
                end(process)
        self._traffic = self._server = None
        self.layout.endpoint.unlink(missing_ok=True)

    def control(self, **changes: float | int) -> None:
        """Change how the users behave: fields of `Control`."""
        present = Control.read(self.layout.traffic)
        Control(**{**asdict(present), **changes}).write(self.layout.traffic)

    def __enter__(self) -> World:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait(self, output: Path) -> None:
        until = clock.monotonic() + _START_SECONDS
        while clock.monotonic() < until:
            if self._server is None or self._server.poll() is not None:
                self.stop()
                raise ProcessError(f"the service ended while starting: {_last_words(output)}")
            try:
                if httpx.get(f"{self.url}/healthz", timeout=2.0, trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            clock.sleep(_POLL_SECONDS)
        self.stop()
        raise ProcessError(f"the service did not answer within {_START_SECONDS:.0f} s: {_last_words(output)}")


def bootstrap(
    root: Path,
    seed: int,
    documents: int | None = None,
    collection: Path | None = None,
    cache: Path | None = None,
    *,
    history: int | None = None,
) -> World:
    """Make a world (see `testbed.bootstrap.make_world`)."""
    return World(make_world(root, seed, documents, collection, cache, history=history).root)


def _last_words(output: Path) -> str:
    lines = output.read_text(encoding="utf-8", errors="replace").strip().splitlines() if output.exists() else []
    return " | ".join(lines[-3:]) or "it said nothing"
