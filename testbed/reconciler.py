"""Follows the GitOps repository: finds new revisions of `values.yaml`, and the overrides an operator set by hand.

GitError   the repository cannot be read
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import TestbedError
from testbed.values import FILE_NAME, RuntimeOverrides, Values, parse_overrides, parse_values

BRANCH = "refs/heads/main"
_TIMEOUT = 30.0


class GitError(TestbedError):
    """The GitOps repository cannot be read."""


class GitOps:
    """Reads a bare repository."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository

    def head(self) -> str:
        """The commit on `main`; raises `GitError`."""
        return self._git("rev-parse", "--verify", f"{BRANCH}^{{commit}}").strip()

    def values(self, commit: str) -> Values:
        """The values of a commit; raises `GitError` or `ValuesError`."""
        return parse_values(self._git("show", f"{commit}:{FILE_NAME}"))

    def _git(self, *arguments: str) -> str:
        command = ["git", f"--git-dir={self._repository}", *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
        except subprocess.TimeoutExpired as error:
            raise GitError(f"git {arguments[0]} took more than {_TIMEOUT:.0f} s in {self._repository.name}") from error
        if done.returncode != 0:
            raise GitError(f"git {arguments[0]} in {self._repository.name}: {done.stderr.strip()}")
        return done.stdout


class OverridesFile:
    """`runtime.json`: what an operator switched by hand."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None

    def changed(self) -> RuntimeOverrides | None:
        """The overrides when the file changed since the last call, None otherwise.

        Raises:
            ValuesError: the file is malformed; it is not read again until it changes.
        """
        seen = self._stamp()
        if seen == self._seen:
            return None
        self._seen = seen
        return parse_overrides(self._path.read_text(encoding="utf-8")) if seen != (0, 0) else RuntimeOverrides()

    def clear(self) -> bool:
        """Remove the file; True when it was there."""
        present = self._path.exists()
        self._path.unlink(missing_ok=True)
        self._seen = (0, 0)
        return present

    def write(self, overrides: RuntimeOverrides) -> None:
        """Set the overrides (by replacing the file)."""
        fresh = self._path.with_suffix(".new")
        fresh.write_text(overrides.model_dump_json(exclude_none=True), encoding="utf-8")
        fresh.replace(self._path)

    def _stamp(self) -> tuple[int, int]:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return (0, 0)
        return (stat.st_mtime_ns, stat.st_size)


@dataclass(frozen=True)
class Applied:
    """The revision applied last, when (UNIX seconds), and the one that set the variants of now."""

    commit: str
    at: float
    variants_since: str


class AppliedFile:
    """Remembers across restarts which revision was applied, so that a restart is no deployment."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Applied | None:
        """What was applied last, or None on the first start."""
        if not self._path.exists():
            return None
        return Applied(**json.loads(self._path.read_text(encoding="utf-8")))

    def write(self, applied: Applied) -> None:
        """Remember it (by replacing the file)."""
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(applied.__dict__), encoding="utf-8")
        fresh.replace(self._path)
