"""A bare git repository with one values file, somebody else who pushes to it, and a product that commits to it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

from adapters.vcs.access import GitAccess
from adapters.vcs.base import EFFECT_COMMIT, EFFECT_REVERT, VcsPort
from adapters.vcs.git import GitVcs
from domain.clock import Clock, SystemClock
from domain.permit import PermitOffice
from tests.contract.permits import CYCLE, permit_for

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
        git(self._clone, "fetch", "--quiet", "origin", "main")
        git(self._clone, "reset", "--quiet", "--hard", "FETCH_HEAD")
        return self._push(text)

    def _push(self, text: str | None) -> str:
        self._count += 1
        path = self._clone / (self.path if text is not None else "README")
        path.write_text(text if text is not None else f"change {self._count}\n", encoding="utf-8")
        git(self._clone, "add", "--all")
        git(self._clone, "commit", "--quiet", "-m", f"change {self._count} by somebody")
        git(self._clone, "push", "--quiet", "origin", "HEAD:refs/heads/main")
        return git(self._clone, "rev-parse", "HEAD")


def open_vcs(
    remote: str | Path,
    folder: Path,
    office: PermitOffice,
    *,
    access: GitAccess | None = None,
    path: str = "values.yaml",
    branch: str = "main",
    depth: int = 0,
    seconds: float = 20,
    environment: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    anchor: Callable[[], str] = str,
) -> GitVcs:
    """Return the product's own adapter on a remote."""
    return GitVcs(
        remote=str(remote),
        branch=branch,
        path=path,
        folder=folder,
        permits=office,
        clock=clock or SystemClock(),
        access=access,
        depth=depth,
        timeout=timedelta(seconds=seconds),
        environment=environment,
        anchor=anchor,
    )


def commit(vcs: VcsPort, office: PermitOffice, text: str, key: str = "k1", head: str | None = None) -> str:
    """Commit with a permit of its own."""
    return vcs.commit(
        text=text,
        message="change the model",
        expected_head=head or vcs.head(),
        cycle_id=CYCLE,
        key=key,
        permit=permit_for(office, EFFECT_COMMIT, key),
    )


def revert(vcs: VcsPort, office: PermitOffice, revision: str, key: str = "k2") -> str:
    """Revert with a permit of its own."""
    permit = permit_for(office, EFFECT_REVERT, key)
    return vcs.revert(revision=revision, message="put it back", cycle_id=CYCLE, key=key, permit=permit)
