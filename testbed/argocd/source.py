"""Git, from both ends: the remote that holds the desired state, and the repository that stands for the cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed.argocd.errors import SourceError

_TIMEOUT = 30.0
_FORMAT = "%an <%ae>%x00%cI%x00%B"


@dataclass(frozen=True)
class Commit:
    """What a commit says of itself; `date` is RFC 3339."""

    author: str
    date: str
    message: str


class GitSource:
    """Fetches `branch` of `remote` (a path, https or ssh) into a mirror below `folder`, and pushes to `cluster`.

    `environment` is laid over an otherwise empty one, e.g. GIT_SSL_CAINFO, GIT_ASKPASS or GIT_SSH_COMMAND.
    """

    def __init__(
        self, *, folder: Path, remote: str, branch: str, cluster: Path, environment: Mapping[str, str]
    ) -> None:
        self.remote = remote
        self.branch = branch
        self._cluster = cluster
        self._mirror = folder / "mirror.git"
        self._program = shutil.which("git") or "git"
        self._environment = {
            "PATH": os.defpath,
            "HOME": str(folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            **environment,
        }
        folder.mkdir(parents=True, exist_ok=True)
        if not self._mirror.exists():
            self._git("init", "--bare", "--quiet", "--template=", str(self._mirror))

    def fetch(self) -> str:
        """Fetch and return the branch's head; raises `SourceError`."""
        ref = f"refs/heads/{self.branch}"
        self._in_mirror("fetch", "--quiet", "--no-tags", "--no-auto-maintenance", self.remote, f"+{ref}:{ref}")
        return self._head(self._mirror, ref)

    def resolve(self, revision: str) -> str:
        """Return the full name of a fetched revision (a commit, or the branch); raises `SourceError`."""
        wanted = f"refs/heads/{self.branch}" if revision in ("", "HEAD", self.branch) else revision
        return self._in_mirror("rev-parse", "--verify", f"{wanted}^{{commit}}").strip()

    def apply(self, revision: str) -> None:
        """Make a revision the cluster's; raises `SourceError`."""
        self._in_mirror("push", "--quiet", "--force", str(self._cluster), f"{revision}:refs/heads/main")

    def applied(self) -> str:
        """Return the cluster's revision, empty when it has none yet; raises `SourceError`."""
        try:
            return self._head(self._cluster, "refs/heads/main")
        except SourceError:
            if not self._cluster.exists():
                raise
            return ""

    def commit(self, revision: str) -> Commit:
        """Return what a fetched commit says of itself; raises `SourceError`."""
        shown = self._in_mirror("show", "--no-patch", f"--format={_FORMAT}", revision, "--")
        author, date, message = shown.split("\0", 2)
        return Commit(author, date, message.strip())

    def _head(self, repository: Path, ref: str) -> str:
        try:
            return (repository / ref).read_text(encoding="ascii").strip()
        except FileNotFoundError:  # packed, or not there
            return self._git(f"--git-dir={repository}", "rev-parse", "--verify", f"{ref}^{{commit}}").strip()

    def _in_mirror(self, *arguments: str) -> str:
        return self._git(f"--git-dir={self._mirror}", *arguments)

    def _git(self, *arguments: str) -> str:
        command = [self._program, "-c", "safe.directory=*", *arguments]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_TIMEOUT, check=False, env=self._environment
            )
        except subprocess.TimeoutExpired as error:
            raise SourceError(f"git took more than {_TIMEOUT:.0f} s") from error
        if done.returncode != 0:
            raise SourceError(done.stderr.strip() or f"git ended with {done.returncode}")
        return done.stdout
