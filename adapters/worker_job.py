"""What runs inside a worker process: limits first, then the entry point, then its result, written all at once.

``python -m adapters.worker_job ENTRY SPEC OUT RESULT MEMORY_MIB CPU_SECONDS``; exit status 3 says that the entry
point returned something that is not JSON. Any other failure is an ordinary traceback.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

NOT_JSON = 3
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str]) -> int:
    """Run one job; see the module's text."""
    entry, spec, out, result, memory_mib, cpu_seconds = arguments
    _confine(int(memory_mib), int(cpu_seconds))
    sys.excepthook = _telling(Path(f"{result}.error"))
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


def _telling(path: Path) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    """A last handler that also leaves the name of the exception's class, which tells nothing of the data."""

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        path.write_text(kind.__name__, encoding="utf-8")
        sys.__excepthook__(kind, error, trace)

    return tell


def _confine(memory_mib: int, cpu_seconds: int) -> None:
    """Set hard limits, and die with the process that waits for the result: nobody would read it.

    RLIMIT_DATA counts what is really writable; the address space is left wide, for libraries reserve much more than
    they use.
    """
    memory = memory_mib * 1024 * 1024
    _limit(resource.RLIMIT_DATA, memory)
    _limit(resource.RLIMIT_AS, memory * 4)
    _limit(resource.RLIMIT_CPU, cpu_seconds)
    _limit(resource.RLIMIT_CORE, 0)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (wanted, wanted))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
