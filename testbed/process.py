"""Child processes of a world: started apart from the terminal, gone when their parent is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from testbed import clock
from testbed.errors import TestbedError

_POLL_SECONDS = 0.25
_GRACE_SECONDS = 15.0
# Threads inside numpy's routines cost more than they give on vectors of this size. `env` gives way to the command.
_ONE_THREAD = ("env", "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1")
_SERVICE_PRIORITY = -5


class ProcessError(TestbedError):
    """A process of the world does not start or has ended."""


def spawn(module: str, arguments: Sequence[str], output: Path) -> subprocess.Popen[bytes]:
    """Start `python -m module` in a session of its own; it ends by itself when this process dies."""
    output.parent.mkdir(parents=True, exist_ok=True)
    command = [*_ONE_THREAD, sys.executable, "-m", module, *arguments, "--parent", str(os.getpid())]
    with output.open("ab") as sink:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=Path(__file__).resolve().parents[1],
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and kill it when it does not within a few seconds."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(_GRACE_SECONDS)


def prefer_this_process() -> None:
    """Run before ordinary processes where that is allowed: a real service has machines of its own.

    Otherwise whatever else runs here, such as the training of a model, would show in the service's latency.
    """
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _SERVICE_PRIORITY)


def end_with_parent(parent: int | None) -> None:
    """End this process soon after the process `parent` is gone.

    A watching thread, not the kernel's parent-death signal: that one fires when the *thread* that started us ends.
    """
    if parent is not None:
        threading.Thread(target=_watch, args=(parent,), name="parent-watch", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        clock.sleep(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    clock.sleep(_GRACE_SECONDS)
    os._exit(1)
