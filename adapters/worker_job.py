"""What runs inside a worker process: limits first, then the entry point, then its result, written all at once.

``python -m adapters.worker_job ENTRY SPEC OUT RESULT LIMITS``; LIMITS is JSON, see `Limits`. Exit status 3 says that
the entry point returned something that is not JSON. Any other failure is an ordinary traceback, and beside the result
stand the name of the exception's class and, where it was a limit that ended the job, which.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import json
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

NOT_JSON = 3
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """What a job may use: memory and the largest file in MiB, seconds of CPU a process, processes and threads together,
    open files. `processes` is 0 where they cannot be counted for the job alone.
    """

    memory_mib: int
    cpu_s: int
    processes: int = 512
    file_mib: int = 8192
    files: int = 4096

    def text(self) -> str:
        """Return the limits as JSON."""
        return json.dumps(asdict(self))


def main(arguments: list[str]) -> int:
    """Run one job; see the module's text."""
    entry, spec, out, result, limits = arguments
    _confine(Limits(**json.loads(limits)))
    sys.excepthook = _telling(result)
    module, _, name = entry.partition(":")
    function = getattr(importlib.import_module(module), name)
    output = function(json.loads(Path(spec).read_text(encoding="utf-8")), Path(out))
    try:
        text = json.dumps(output, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        sys.stderr.write(f"{type(error).__name__}: the result is not JSON: {error}\n")
        return NOT_JSON
    fresh = Path(f"{result}.part")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(result)
    return 0


def _telling(result: str) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    """A last handler that also leaves the name of the exception's class, which tells nothing of the data, and of the
    limit it speaks of.
    """

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        Path(f"{result}.error").write_text(kind.__name__, encoding="utf-8")
        limit = limit_of(error)
        if limit:
            Path(f"{result}.limit").write_text(limit, encoding="utf-8")
        sys.__excepthook__(kind, error, trace)

    return tell


def limit_of(error: BaseException) -> str:
    """Return which limit an exception speaks of, or the empty string."""
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return "processes"
    number = error.errno if isinstance(error, OSError) else None
    known = {
        errno.ENOMEM: "memory",
        errno.EAGAIN: "processes",
        errno.EFBIG: "file size",
        errno.EMFILE: "open files",
        errno.ENOSPC: "disk",
    }
    return known.get(number, "") if number is not None else ""


def _confine(limits: Limits) -> None:
    """Set hard limits, and die with the process that waits for the result: nobody would read it.

    RLIMIT_DATA counts what is really writable; the address space is left wide, for libraries reserve much more than
    they use.
    """
    memory = limits.memory_mib * _MIB
    _limit(resource.RLIMIT_DATA, memory)
    _limit(resource.RLIMIT_AS, memory * 4)
    # The first limit ends the job with a signal that says why, the second whoever does not listen.
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 2))
    _limit(resource.RLIMIT_FSIZE, limits.file_mib * _MIB)
    _limit(resource.RLIMIT_NOFILE, limits.files)
    _limit(resource.RLIMIT_CORE, 0)
    if limits.processes:
        _limit(resource.RLIMIT_NPROC, limits.processes)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (wanted, wanted))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
