"""One way to start a server program: on loopback, on a free port, dying with whoever started it.

ServerError   the program is not installed, or did not get ready; says which and shows the end of its log
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from testbed import clock
from testbed.errors import TestbedError

READY_SECONDS = 30.0
_POLL_SECONDS = 0.02
_TAIL = 1500


class ServerError(TestbedError):
    """A server cannot be started."""


def find(program: str, package: str) -> str:
    """Return the path of a program.

    Raises:
        ServerError: it is not installed; names the package that brings it.
    """
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ServerError(f"{program} is not installed: apt-get install {package}")
    return found


def free_port() -> int:
    """Return a port on loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Return whether something accepts connections on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


class Program:
    """A running program; its output goes to `folder`/log. Use it as a context manager, or call `stop`."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        ready: Callable[[], bool],
        *,
        environment: Mapping[str, str] | None = None,
        patience: float = READY_SECONDS,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "log"
        dies_with_us = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*dies_with_us, *command],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=dict(environment) if environment is not None else None,
                start_new_session=True,
            )
        self._wait(command[0], ready, patience)

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        """End the program and everything it started."""
        if self._process.poll() is None:
            try:
                os.killpg(self._process.pid, signal.SIGTERM)
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            except ProcessLookupError:
                self._process.wait()

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _wait(self, name: str, ready: Callable[[], bool], patience: float) -> None:
        until = clock.monotonic() + patience
        while not ready():
            ended = self._process.poll()
            if ended is not None or clock.monotonic() > until:
                self.stop()
                tail = self._log.read_text(encoding="utf-8", errors="replace")[-_TAIL:]
                what = f"ended with {ended}" if ended is not None else f"is not ready after {patience:g} s"
                raise ServerError(f"{Path(name).name} {what}: {tail}")
            clock.sleep(_POLL_SECONDS)
