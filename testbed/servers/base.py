"""One way to start a server program: on loopback, on a free port, dying with whoever started it.

ServerError   the program is not installed, or did not get ready; says which and shows the end of its log
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from testbed import clock
from testbed.errors import TestbedError

READY_SECONDS = 90.0
_POLL_SECONDS = 0.02
_TAIL = 1500
_FIRST_PORT = 15000
_TRIES = 50
_CLIENT_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


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
    """Return a port on loopback that nothing listens on.

    Where there are enough, it is none of those that the system gives to whoever opens a connection: such a port may be
    gone before the server binds it.
    """
    spare = _first_client_port() - _FIRST_PORT
    for _ in range(_TRIES if spare > _TRIES else 0):
        port = _FIRST_PORT + secrets.randbelow(spare)
        if _bound(port):
            return port
    return _bound(0)


def _first_client_port() -> int:
    """Return the lowest port that the system may give to a client; 0 where it does not tell."""
    try:
        return int(_CLIENT_PORTS.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def _bound(port: int) -> int:
    """Return the port that could be bound (any, if asked for 0), and 0 where somebody has it."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
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


class Server(ABC):
    """A program over its `folder` that can be started again after it was stopped; a context manager that gives itself
    once it is ready.
    """

    folder: Path
    _program: Program | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Start it and wait until it is ready.

        Raises:
            ServerError: it is not installed, or did not get ready.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._program = Program(self._command(), self.folder, self._ready)
        return self

    def stop(self) -> None:
        """Stop it; what is in the folder stays."""
        if self._program is not None:
            self._program.stop()
            self._program = None

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """Write what the program reads, and return how it is called."""

    @abstractmethod
    def _ready(self) -> bool:
        """Return whether it can be used."""
