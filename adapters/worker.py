"""Runs an entry point in a process of its own: own group, own temporary folder, hard limits, a cleared environment.

With bubblewrap it also gets its own process table, no network, a read-only view of the machine but for its own
folders, and none at all of the folders that are hidden from it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

import adapters
from adapters.worker_job import NOT_JSON
from domain.canonical import canonical_json
from domain.clock import Clock
from domain.errors import DependencyLied, DependencyTimeout, DependencyUnavailable

_ROOT = Path(adapters.__file__).resolve().parents[1]
_TAIL = 2000


@dataclass(frozen=True)
class WorkerResult:
    """What the entry point returned, wall time in seconds, and how the process was confined."""

    output: Any
    seconds: float
    isolation: str


class Worker:
    """Starts worker processes for the dependency called `name`.

    `environment` is all of the process's environment (an allow-list: PATH, HOME, LANG, OMP_NUM_THREADS ...); `hidden`
    are folders it must not see; `bubblewrap` is the program, None for none. Without it, hidden folders cannot be kept
    from a job and `check_hidden` says so. `quiet` keeps the job's words out of errors: only the kind of the exception
    is told.
    """

    def __init__(
        self,
        *,
        name: str,
        environment: Mapping[str, str],
        clock: Clock,
        hidden: Sequence[Path] = (),
        bubblewrap: str | None = None,
        python: str = sys.executable,
        quiet: bool = False,
    ) -> None:
        self._name = name
        self._environment = dict(environment)
        self._clock = clock
        self._hidden = tuple(path.resolve() for path in hidden)
        self._bubblewrap = bubblewrap
        self._python = python
        self._quiet = quiet
        self._works: bool | None = None

    @property
    def quiet(self) -> bool:
        """Whether errors leave out what the job wrote."""
        return self._quiet

    @property
    def isolation(self) -> str:
        """How jobs are confined, in words."""
        if not self._confines():
            return "process with limits"
        hidden = f", {len(self._hidden)} folders hidden" if self._hidden else ""
        return f"bubblewrap: no network, read-only{hidden}"

    def run(
        self, entry: str, spec: Mapping[str, Any], out: Path, *, timeout: timedelta, memory_mib: int
    ) -> WorkerResult:
        """Call ``module:function`` as function(spec, out) and return its result; `out` exists and may be written to.

        Raises:
            DependencyTimeout: it took too long; it and all it started were killed.
            DependencyUnavailable: it died; the message has the end of its error output (unless `quiet`).
            DependencyLied: it returned something that is not JSON.
        """
        begun = self._clock.monotonic()
        with tempfile.TemporaryDirectory(prefix="evercrew-job-") as name:
            scratch = Path(name).resolve()
            (scratch / "tmp").mkdir()
            (scratch / "spec.json").write_text(canonical_json(dict(spec)), encoding="utf-8")
            cpu = int(timeout.total_seconds() * 2) + 5
            paths = [str(scratch / "spec.json"), str(out.resolve()), str(scratch / "result.json")]
            job = [self._python, "-P", "-m", "adapters.worker_job", entry, *paths, str(memory_mib), str(cpu)]
            status = self._wait([*self._confined(scratch, out), *job], scratch, timeout)
            if status != 0:
                raise self._failure(status, scratch, timeout)
            output = self._result(scratch / "result.json")
        return WorkerResult(output, self._clock.monotonic() - begun, self.isolation)

    def _wait(self, command: Sequence[str], scratch: Path, timeout: timedelta) -> int | None:
        """Run the command to its end and return its status; None when it was killed for its time."""
        settings = {"TMPDIR": str(scratch / "tmp"), "PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        with (scratch / "errors").open("wb") as errors, (scratch / "words").open("wb") as words:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=words,
                    stderr=errors,
                    env={**self._environment, **settings},
                    cwd=scratch,
                    start_new_session=True,
                )
            except OSError as error:
                raise DependencyUnavailable(self._name, f"the worker cannot be started: {error.strerror}") from error
            try:
                return process.wait(timeout=timeout.total_seconds())
            except subprocess.TimeoutExpired:
                return None
            finally:
                _kill_tree(process)

    def _failure(self, status: int | None, scratch: Path, timeout: timedelta) -> Exception:
        if status is None:
            return DependencyTimeout(
                self._name,
                f"the job took longer than {timeout.total_seconds():g} s and was killed",
                "Allow it more time",
            )
        text = (scratch / "errors").read_bytes()[-_TAIL:].decode("utf-8", "replace").strip()
        if self._quiet:
            named = scratch / "result.json.error"
            text = named.read_text(encoding="utf-8") if named.exists() else ""
        if status == NOT_JSON:
            return DependencyLied(self._name, f"the job returned something that is not JSON {text}".strip())
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        return DependencyUnavailable(self._name, f"the job died with {how}: {text or 'it said nothing'}")

    def _result(self, path: Path) -> Any:
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise DependencyLied(self._name, "the job ended without a result") from error
        except ValueError as error:
            raise DependencyLied(self._name, "the job's result is not JSON") from error

    def _confined(self, scratch: Path, out: Path) -> list[str]:
        if not self._confines() or self._bubblewrap is None:
            return []
        writable = [str(path) for path in (scratch, out.resolve())]
        hide = [str(path) for path in self._hidden if path.is_dir()]
        return [
            *(self._bubblewrap, "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--unshare-net"),
            *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
            *(word for path in hide for word in ("--tmpfs", path)),
            *(word for path in writable for word in ("--bind", path, path)),
            "--",
        ]

    def _confines(self) -> bool:
        """Whether bubblewrap is there and works: a container may forbid it."""
        if self._works is None:
            self._works = self._bubblewrap is not None and _probe(self._bubblewrap)
        return self._works


def find_bubblewrap(path: str) -> str | None:
    """Return the bubblewrap program on a search path, or None."""
    return shutil.which("bwrap", path=path)


def _probe(program: str) -> bool:
    command = [program, "--unshare-pid", "--unshare-net", "--ro-bind", "/", "/", "--proc", "/proc", "--", "/bin/true"]
    try:
        return subprocess.run(command, capture_output=True, timeout=10, check=False, env={}).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the job: its group, and children that left the group."""
    try:
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    except psutil.NoSuchProcess:
        children = []
    for kill in (lambda: os.killpg(process.pid, signal.SIGKILL), *(child.kill for child in children)):
        try:
            kill()
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    process.wait()
