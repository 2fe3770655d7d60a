"""Runs an entry point in a process of its own: own group, own temporary folder, hard limits, a cleared environment.

With bubblewrap it is shut in (see `adapters/confinement.py`): its own process table, no network, no capabilities, a
read-only view of the machine but for its own folders, and none at all of the folders that are hidden from it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

import adapters
from adapters.confinement import Way, inputs, ways, works
from adapters.job import Job, memory_of, strange
from adapters.worker_job import NOT_JSON, Limits
from domain.canonical import canonical_json
from domain.clock import Clock
from domain.errors import DependencyLied, DependencyTimeout, DependencyUnavailable

_ROOT = Path(adapters.__file__).resolve().parents[1]
_MOST_RESULT = 256 * 1024 * 1024
_MIB = 1024 * 1024
# How often it is looked whether all processes of a job together use more memory than it has.
_LOOK = 0.25
_UNITS: Mapping[str, str] = {
    "memory": "{memory_mib} MiB",
    "CPU": "{cpu_s} s",
    "processes": "{processes} processes and threads",
    "file size": "{file_mib} MiB",
    "open files": "{files}",
}
REMEDY = (
    "Install bubblewrap and util-linux (setpriv), and allow it (as an ordinary user: user namespaces); jobs.sandbox: "
    "preferred runs jobs without"
)


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
    from a job and `isolation` says so; where confinement is `required` there is no job without. `quiet` keeps the job's
    words out of errors: only the kind of the exception is told. `limits` are those but of memory and CPU.
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
        required: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self._name = name
        self._environment = dict(environment)
        self._clock = clock
        self._hidden = tuple(path.resolve() for path in hidden)
        self._bubblewrap = bubblewrap
        self._python = python
        self._quiet = quiet
        self._required = required
        self._limits = limits or Limits(memory_mib=0, cpu_s=0)
        self._known: tuple[Way | None] | None = None

    @property
    def quiet(self) -> bool:
        """Whether errors leave out what the job wrote."""
        return self._quiet

    @property
    def confines(self) -> bool:
        """Whether jobs are shut in: bubblewrap is there and works; a container may forbid it."""
        return self._way() is not None

    @property
    def isolation(self) -> str:
        """How jobs are confined, in words."""
        way = self._way()
        if way is None:
            return "none: jobs are refused" if self._required else "process with limits"
        hidden = f", {len(self._hidden)} folders hidden" if self._hidden else ""
        return f"bubblewrap ({way.name}): no network, read-only{hidden}"

    @property
    def required(self) -> bool:
        """Whether there is no job that is not shut in."""
        return self._required

    @property
    def variables(self) -> list[str]:
        """The names of the variables jobs are given."""
        return sorted(self._environment)

    def varied(self, *, limits: Limits, hidden: Sequence[Path]) -> Worker:
        """Return a worker like this with other limits (memory and CPU are those of each run) and hidden folders."""
        return Worker(
            name=self._name,
            environment=self._environment,
            clock=self._clock,
            hidden=hidden,
            bubblewrap=self._bubblewrap,
            python=self._python,
            quiet=self._quiet,
            required=self._required,
            limits=limits,
        )

    def run(
        self,
        entry: str,
        spec: Mapping[str, Any],
        out: Path,
        *,
        timeout: timedelta,
        memory_mib: int,
        cpu_s: int | None = None,
    ) -> WorkerResult:
        """Call ``module:function`` as function(spec, out) and return its result; `out` exists and may be written to.

        Files and folders that `spec` names are shown to it.

        Raises:
            DependencyTimeout: it took too long; it and all it started were killed.
            DependencyUnavailable: it died, of which limit if it was one; the message has the end of its error output
                (unless `quiet`). Or it has to be shut in, and that cannot be had here.
            DependencyLied: it returned something that is not JSON, or left something that is no file of its own.
        """
        begun = self._clock.monotonic()
        way = self._way()
        if way is None and self._required:
            raise DependencyUnavailable(self._name, "jobs have to be shut in, and this machine cannot do it", REMEDY)
        way = way.fresh() if way is not None else None
        cpu = cpu_s or int(timeout.total_seconds() * 2) + 5
        limits = replace(self._limits, memory_mib=memory_mib, cpu_s=cpu)
        # Processes are counted by user: only a job that is a user of its own is counted alone.
        limits = limits if way is not None else replace(limits, processes=0)
        with tempfile.TemporaryDirectory(prefix="evercrew-job-") as name:
            ended = self._ended(entry, spec, Job(Path(name).resolve(), out.resolve(), way, limits), timeout)
        return WorkerResult(ended, self._clock.monotonic() - begun, self.isolation)

    def _ended(self, entry: str, spec: Mapping[str, Any], job: Job, timeout: timedelta) -> Any:
        """Run the job to its end and return what it returned."""
        job.begin(canonical_json(dict(spec)))
        command = [self._python, "-P", "-m", "adapters.worker_job", entry, *job.arguments()]
        try:
            around = job.around(inputs(spec), self._hidden)
            status, limit = self._wait([*around, *command], job, timeout)
        finally:
            job.take_back()
        if status != 0:
            raise self._failure(status, limit, job, timeout)
        output = self._result(job.result)
        odd = next(strange(job.out), None)
        if odd is not None:
            raise DependencyLied(self._name, f"the job left {odd.name!r}, which is no file of its own")
        return output

    def _wait(self, command: Sequence[str], job: Job, timeout: timedelta) -> tuple[int | None, str]:
        """Run the command to its end and return its status (None when it was killed), and the limit it was killed for
        or the empty string.
        """
        settings = {"TMPDIR": str(job.tmp), "PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        if job.way is not None:
            # Libraries ask who they run as, and find no account.
            settings |= {"HOME": str(job.tmp), "USER": "job", "LOGNAME": "job"}
        with (job.scratch / "errors").open("wb") as errors, (job.scratch / "words").open("wb") as words:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=words,
                    stderr=errors,
                    env={**self._environment, **settings},
                    cwd=job.scratch,
                    start_new_session=True,
                )
            except OSError as error:
                raise DependencyUnavailable(self._name, f"the worker cannot be started: {error.strerror}") from error
            try:
                return self._watched(process, job, self._clock.monotonic() + timeout.total_seconds())
            finally:
                _kill_tree(process)

    def _watched(self, process: subprocess.Popen[bytes], job: Job, until: float) -> tuple[int | None, str]:
        while True:
            left = until - self._clock.monotonic()
            try:
                return process.wait(timeout=max(min(left, _LOOK), 0)), ""
            except subprocess.TimeoutExpired:
                if left <= _LOOK and until <= self._clock.monotonic():
                    return None, ""
            if job.way is not None and memory_of(process.pid) > job.limits.memory_mib * _MIB:
                return None, "memory"

    def _failure(self, status: int | None, limit: str, job: Job, timeout: timedelta) -> Exception:
        if status is None and not limit:
            return DependencyTimeout(
                self._name,
                f"the job took longer than {timeout.total_seconds():g} s and was killed",
                "Allow it more time",
            )
        text = job.last_words()
        if self._quiet:
            text = job.told("error")
        if status == NOT_JSON:
            return DependencyLied(self._name, f"the job returned something that is not JSON {text}".strip())
        # What bubblewrap waits for and a signal ended, it reports as a shell does.
        killed = -status if status is not None and status < 0 else (status or 0) - 128
        limit = limit or ("CPU" if killed == signal.SIGXCPU else job.told("limit"))
        if limit:
            amount = _UNITS.get(limit, "").format(**vars(job.limits))
            return DependencyUnavailable(
                self._name,
                f"the job reached its limit of {limit}{f' ({amount})' if amount else ''}: {text}".strip(": "),
            )
        known = {each.value for each in signal.Signals}
        how = f"signal {signal.Signals(killed).name}" if killed in known else f"exit status {status}"
        return DependencyUnavailable(self._name, f"the job died with {how}: {text or 'it said nothing'}")

    def _result(self, path: Path) -> Any:
        try:
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_RESULT:
                raise DependencyLied(self._name, "the job's result is no file, or too large a one")
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise DependencyLied(self._name, "the job ended without a result") from error
        except ValueError as error:
            raise DependencyLied(self._name, "the job's result is not JSON") from error

    def _way(self) -> Way | None:
        """Return how jobs are shut in here, None for not at all; looked up once."""
        if self._known is None:
            program, path = self._bubblewrap, self._environment.get("PATH", "")
            found = ways(program, path, root=os.geteuid() == 0) if program is not None else []
            self._known = (next((way for way in found if works(way)), None),)
        return self._known[0]


def find_bubblewrap(path: str) -> str | None:
    """Return the bubblewrap program on a search path, or None."""
    return shutil.which("bwrap", path=path)


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
    # What was killed may still be ending, and its folders are about to be taken away.
    psutil.wait_procs(children, timeout=5)
