"""One job of a worker: its folders, what it is shut in by, and what it left."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from adapters.confinement import View, Way, give
from adapters.worker_job import Limits

_TAIL = 2000


@dataclass(frozen=True)
class Job:
    """The folders of one job, and how it is shut in."""

    scratch: Path
    out: Path
    way: Way | None
    limits: Limits

    @property
    def desk(self) -> Path:
        """The folder the job writes its result to; what stands beside it is ours."""
        return self.scratch / "desk"

    @property
    def tmp(self) -> Path:
        """The job's folder for what it needs for a moment."""
        return self.desk / "tmp"

    @property
    def result(self) -> Path:
        """Where the job's result stands."""
        return self.desk / "result.json"

    def begin(self, spec: str) -> None:
        """Make the folders and write the spec."""
        self.tmp.mkdir(parents=True)
        (self.desk / "spec.json").write_text(spec, encoding="utf-8")

    def arguments(self) -> list[str]:
        """Return what the job is started with after its entry point."""
        return [str(self.desk / "spec.json"), str(self.out), str(self.result), self.limits.text()]

    def around(self, given: Sequence[Path], hidden: Sequence[Path]) -> list[str]:
        """Return the words before the job's own command, and give its folders to its user."""
        if self.way is None:
            return []
        view = View(writable=(self.desk, self.out), given=tuple(given), hidden=hidden)
        words = self.way.command(view.words(self.way.user, self.scratch / "copies"))
        give(self.way.user, self.desk, self.out)
        return words

    def take_back(self) -> None:
        """Make what the job left ours again."""
        if self.way is not None and self.way.user is not None:
            give(os.geteuid(), self.desk, self.out)

    def last_words(self) -> str:
        """Return the end of the job's error output."""
        with (self.scratch / "errors").open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _TAIL, 0))
            return file.read(_TAIL).decode("utf-8", "replace").strip()

    def told(self, what: str) -> str:
        """Return a note the job left beside its result: ``error`` or ``limit``."""
        note = self.desk / f"result.json.{what}"
        if note.is_symlink() or not note.is_file():
            return ""
        with note.open(encoding="utf-8", errors="replace") as file:
            return file.read(80)


def strange(folder: Path) -> Iterator[Path]:
    """Yield what a job left that is no file of its own: links that lead out, pipes, sockets, devices."""
    for where, folders, files in os.walk(folder):
        for path in (Path(where) / name for name in (*folders, *files)):
            mode = path.lstat().st_mode
            outside = path.is_symlink() and folder not in path.resolve().parents
            if outside or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
                yield path


def memory_of(pid: int) -> int:
    """Return the bytes a process and all below it use for themselves."""
    try:
        found = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for process in found:
        try:
            memory = process.memory_info()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        total += memory.rss - memory.shared
    return total
