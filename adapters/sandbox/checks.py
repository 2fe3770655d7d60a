"""Does confinement hold on this machine? Twelve hostile jobs say so, by trying."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from adapters.worker import Worker
from adapters.worker_job import Limits
from domain.errors import DependencyError

HOSTILE = "adapters.sandbox.hostile"
CHECKS: Mapping[str, str] = {
    "network": "nothing is reached, not even this machine",
    "names": "no name is looked up",
    "files": "nothing can be written but its own folders",
    "environment": "no variable but those handed in",
    "processes": "no other process is seen",
    "capabilities": "no capability, no way to gain one, not root",
    "tmp": "its own /tmp",
    "hidden": "hidden folders are empty",
    "memory": "its memory ends",
    "forks": "the number of its processes ends",
    "cpu": "its time of computing ends",
    "disk": "its files end",
}
_ALLOWED = ("TMPDIR", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PWD", "LC_CTYPE", "HOME", "USER", "LOGNAME")
_TIMEOUT = timedelta(seconds=30)
_MEMORY_MIB = 256
_FILE_MIB = 4
_PROCESSES = 48
# Forks share their pages, which are counted for each: on a busy machine a tight bound would end them first.
_ROOM_FOR_FORKS_MIB = 4096
# Which job tries a limit, with what, and how the error then names it.
_LIMITS: Mapping[str, tuple[str, Mapping[str, Any], str]] = {
    "memory": ("eat_memory", {"memory_mib": _MEMORY_MIB}, "limit of memory"),
    "forks": ("fork", {"processes": _PROCESSES}, "limit of processes"),
    "cpu": ("spin", {"most_s": 4}, "limit of CPU"),
    "disk": ("fill", {"file_mib": _FILE_MIB}, "limit of file size"),
}


class Held(BaseModel):
    """One check: whether it holds, and what was found."""

    model_config = ConfigDict(frozen=True)

    name: str
    ok: bool
    detail: str


def examine(worker: Worker) -> list[Held]:
    """Try all twelve on jobs of a worker, in about two seconds, of which one is the computing that a limit ends.

    Raises:
        DependencyError: not even a harmless job can be run.
    """
    with ExitStack() as closing:
        listener = closing.enter_context(socket.create_server(("127.0.0.1", 0)))
        mark = closing.enter_context(tempfile.NamedTemporaryFile(dir="/tmp", prefix="evercrew-mark-"))
        hidden = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="evercrew-hidden-"))).resolve()
        (hidden / "secret").write_text("secret", encoding="utf-8")
        limits = Limits(memory_mib=0, cpu_s=0, processes=_PROCESSES, file_mib=_FILE_MIB)
        limited = worker.varied(limits=limits, hidden=[hidden])
        spec = {
            "port": listener.getsockname()[1],
            "allowed": [*worker.variables, *_ALLOWED],
            "mark": Path(mark.name).name,
            "hidden": list(hidden.parts),
        }
        found = _ran(limited, "look", spec)
    looked = [Held(name=name, ok=not found[name], detail=found[name]) for name in CHECKS if name not in _LIMITS]
    return [*looked, *(_ended(limited, name) for name in _LIMITS)]


def summary(found: Sequence[Held]) -> str:
    """Return how many hold, and what the others let through."""
    failed = [f"{held.name} ({held.detail})" for held in found if not held.ok]
    return f"{len(found) - len(failed)} of {len(found)} checks hold" + (f"; not {', '.join(failed)}" if failed else "")


def _ended(worker: Worker, name: str) -> Held:
    """Try what a limit has to end, and see whether the error says which."""
    job, spec, said = _LIMITS[name]
    try:
        room = _ROOM_FOR_FORKS_MIB if name == "forks" else _MEMORY_MIB
        through = _ran(worker, job, spec, cpu_s=1 if name == "cpu" else None, memory_mib=room)["through"]
    except DependencyError as error:
        return Held(name=name, ok=said in str(error), detail=str(error))
    return Held(name=name, ok=False, detail=through)


def _ran(
    worker: Worker, job: str, spec: Mapping[str, Any], *, cpu_s: int | None = None, memory_mib: int = _MEMORY_MIB
) -> dict[str, str]:
    with tempfile.TemporaryDirectory(prefix="evercrew-check-") as out:
        done = worker.run(f"{HOSTILE}:{job}", spec, Path(out), timeout=_TIMEOUT, memory_mib=memory_mib, cpu_s=cpu_s)
    return dict(done.output)
