"""A bare clone of the remote that git commands run in; there is no work tree that anything could leave dirty.

The clone is a cache: when it cannot be opened it is made anew. Everything that has happened stands in the remote.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from git import Git, Repo
from git.exc import GitCommandNotFound, GitError, InvalidGitRepositoryError, NoSuchPathError

from adapters.locks import exclusive
from domain.clock import Clock
from domain.errors import ConfigurationError, DependencyError, DependencyTimeout, DependencyUnavailable, InvalidInput

NAME = "git"
_REVISION = re.compile(r"^[0-9a-f]{7,40}$")
_REF_MOVED = "cannot lock ref"
_FETCHES = 4
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


def check_revision(field: str, value: str) -> str:
    """Return `value` when it looks like a commit's name.

    Raises:
        InvalidInput: it does not (branch names and options are not revisions here).
    """
    if not _REVISION.match(value):
        raise InvalidInput(field, f"{value!r} is not a revision", "Give 7 to 40 hexadecimal digits")
    return value


class GitMirror:
    """Runs git with timeouts and without ever asking a terminal; `environment` is laid over the process's own."""

    def __init__(
        self,
        *,
        remote: str,
        branch: str,
        folder: Path,
        clock: Clock,
        timeout: timedelta,
        environment: Mapping[str, str],
    ) -> None:
        self._remote = remote
        self._branch = branch
        self._folder = folder
        self._clock = clock
        self._timeout = timeout
        self._environment = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", **environment}
        self._git: Git | None = None

    @property
    def tracking(self) -> str:
        """The ref that holds the branch as it was last fetched."""
        return f"refs/remotes/origin/{self._branch}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other threads and processes out of the clone."""
        lock = self._folder.with_name(self._folder.name + ".lock")
        with exclusive(lock, holder=NAME, clock=self._clock, timeout=self._timeout):
            yield

    def fetch(self) -> str:
        """Bring the branch up to date and return its revision; call it under `locked`.

        Raises:
            DependencyUnavailable, DependencyTimeout: the remote did not answer.
            ConfigurationError: it has no such branch.
        """
        self._open()
        refspec = f"+refs/heads/{self._branch}:{self.tracking}"
        try:
            self._fetch(refspec)
        except DependencyUnavailable as error:
            if "couldn't find remote ref" in error.problem:
                raise ConfigurationError(
                    "vcs.branch",
                    f"the remote has no branch {self._branch!r}",
                    "Push a first commit to it or name another",
                ) from error
            raise
        return self.run("rev-parse", "--verify", f"{self.tracking}^{{commit}}").strip()

    def _fetch(self, refspec: str) -> None:
        """Fetch, again when the ref moved meanwhile: the push of a process that was killed may still be ending."""
        for attempt in range(1, _FETCHES + 1):
            try:
                self.run("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "origin", refspec)
                return
            except DependencyUnavailable as error:
                if _REF_MOVED not in error.problem or attempt == _FETCHES:
                    raise

    def text(self, revision: str, path: str) -> str:
        """Return the file at a revision, byte for byte in UTF-8."""
        return self.run("cat-file", "blob", f"{revision}:{path}", strip=False)

    def run(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        stdin: BinaryIO | None = None,
        strip: bool = True,
    ) -> str:
        """Run one git command in the clone and return its output.

        Raises:
            DependencyTimeout: it took too long and was killed.
            DependencyUnavailable: it failed; the problem is git's own last words, without credentials.
        """
        status, output, errors = self.attempt(*arguments, environment=environment, stdin=stdin, strip=strip)
        if status != 0:
            raise _failure(arguments, errors or output, self._timeout)
        return output

    def attempt(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        stdin: BinaryIO | None = None,
        strip: bool = True,
    ) -> tuple[int, str, str]:
        """Run one git command and return its status, output and error output; a kill by timeout shows in the latter."""
        git = self._git or self._open()
        try:
            answer: Any = git.execute(
                ["git", *arguments],
                istream=stdin,
                with_extended_output=True,
                with_exceptions=False,
                strip_newline_in_stdout=strip,
                kill_after_timeout=self._timeout.total_seconds(),
                env=dict(environment or {}),
            )
        except GitCommandNotFound as error:
            raise DependencyUnavailable(NAME, "the git program is not installed", "Install git") from error
        except (GitError, UnicodeDecodeError) as error:
            raise DependencyUnavailable(NAME, _safe(str(error))) from error
        status, output, errors = answer  # by `with_extended_output`; the library's types do not say so
        return int(status), _as_text(output), _as_text(errors)

    def forget(self) -> None:
        """Open the clone again before the next command."""
        self._git = None

    def _open(self) -> Git:
        if self._git is not None and self._folder.exists():
            return self._git
        try:
            Repo(self._folder).close()
        except (InvalidGitRepositoryError, NoSuchPathError):
            self._clone()
        for stale in self._folder.rglob("*.lock"):  # we hold the lock around all commands: their owner is dead
            stale.unlink(missing_ok=True)
        git = Git(self._folder)
        git.update_environment(**self._environment)
        self._git = git
        return git

    def _clone(self) -> None:
        """Clone beside the folder and move it there whole, so that a killed clone is never taken for one."""
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder.parent, prefix=".clone-") as scratch:
            target = Path(scratch) / "clone"
            try:
                Repo.init(target, bare=True).create_remote("origin", self._remote)
            except GitCommandNotFound as error:
                raise DependencyUnavailable(NAME, "the git program is not installed", "Install git") from error
            except GitError as error:
                raise ConfigurationError(
                    "vcs.remote", _safe(str(error)), "Give a path or an https or ssh address of the repository"
                ) from error
            shutil.rmtree(self._folder, ignore_errors=True)
            target.rename(self._folder)


def _as_text(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else (value or "")


def _safe(message: str) -> str:
    """The message in one line, without what stands before an @ in an address."""
    return _CREDENTIALS.sub("", " ".join(message.split()))[:500]


def _failure(arguments: Sequence[str], message: str, timeout: timedelta) -> DependencyError:
    if message.startswith("Timeout:"):
        return DependencyTimeout(NAME, f"`git {arguments[0]}` took longer than {timeout.total_seconds():g} s")
    return DependencyUnavailable(NAME, f"`git {arguments[0]}` failed: {_safe(message)}")
