"""A bare git repository with one values file, and somebody else who pushes to it."""

from __future__ import annotations

import subprocess
from pathlib import Path

IDENTITY = ("-c", "user.name=Somebody", "-c", "user.email=somebody@localhost")


def git(folder: Path, *arguments: str) -> str:
    """Run git and return its output without the last newline."""
    done = subprocess.run(["git", *IDENTITY, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.rstrip("\n")


class Remote:
    """The remote in `folder`/remote.git and a clone of somebody else."""

    def __init__(self, folder: Path, text: str, path: str = "values.yaml") -> None:
        self.folder = folder / "remote.git"
        self.path = path
        self._clone = folder / "somebody"
        self._count = 0
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.folder))
        git(folder, "clone", "--quiet", str(self.folder), str(self._clone))
        git(self._clone, "checkout", "--quiet", "-B", "main")
        (self._clone / path).parent.mkdir(parents=True, exist_ok=True)
        (self._clone / "README").write_text("other files live here too\n")
        self._push(text)

    def push(self, text: str | None) -> str:
        """Push a change by somebody else; `text` None changes another file. Returns the revision."""
        git(self._clone, "pull", "--quiet", "--ff-only", "origin", "main")
        return self._push(text)

    def _push(self, text: str | None) -> str:
        self._count += 1
        path = self._clone / (self.path if text is not None else "README")
        path.write_text(text if text is not None else f"change {self._count}\n", encoding="utf-8")
        git(self._clone, "add", "--all")
        git(self._clone, "commit", "--quiet", "-m", f"change {self._count} by somebody")
        git(self._clone, "push", "--quiet", "origin", "HEAD:refs/heads/main")
        return git(self._clone, "rev-parse", "HEAD")
