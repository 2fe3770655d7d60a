"""A bare clone of the remote that git commands run in; there is no work tree that anything could leave dirty.

The clone is a cache: when it cannot be opened, or is one of another remote, it is made anew. Everything that has
happened stands in the remote. It may be shallow: who needs more of the history asks for it by `deepen`.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from git import Git, Repo
from git.exc import GitCommandNotFound, GitError, InvalidGitRepositoryError, NoSuchPathError

from adapters.locks import exclusive
from adapters.vcs.access import SECTION, GitAccess, check_remote, host_of
from adapters.vcs.git_failures import NAME, explained, safe
from domain.clock import Clock
from domain.errors import ConfigurationError, DependencyError, DependencyUnavailable, InvalidInput

_REVISION = re.compile(r"^[0-9a-f]{7,40}$")
_REF_MOVED = "cannot lock ref"
_NO_REF = "couldn't find remote ref"
_FETCHES = 4
_NAMES = 8


def check_revision(field: str, value: str) -> str:
    """Return `value` when it looks like a commit's name.

    Raises:
        InvalidInput: it does not (branch names and options are not revisions here).
    """
    if not _REVISION.match(value):
        raise InvalidInput(field, f"{value!r} is not a revision", "Give 7 to 40 hexadecimal digits")
    return value


class GitMirror:
    """Runs git with timeouts and without ever asking a terminal.

    `environment` is laid over the process's own and over what `access` gives; `depth` is the number of commits of a
    first fetch, 0 for all.
    """

    def __init__(
        self,
        *,
        remote: str,
        branch: str,
        folder: Path,
        clock: Clock,
        timeout: timedelta,
        access: GitAccess,
        environment: Mapping[str, str],
        depth: int = 0,
    ) -> None:
        self.branch = branch
        self.place = host_of(check_remote(remote))
        self._remote = remote
        self._folder = folder
        self._clock = clock
        self._timeout = timeout
        self._depth = depth
        self._access = access
        self._overrides = environment
        self._git: Git | None = None

    @property
    def tracking(self) -> str:
        """The ref that holds the branch as it was last fetched."""
        return f"refs/remotes/origin/{self.branch}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other threads and processes out of the clone."""
        lock = self._folder.with_name(self._folder.name + ".lock")
        with exclusive(lock, holder=NAME, clock=self._clock, timeout=self._timeout):
            yield

    def fetch(self) -> str:
        """Bring the branch up to date and return its revision; call it under `locked`.

        Raises:
            DependencyUnavailable, DependencyTimeout, DependencyLied: the remote did not answer, or not as it should.
            ConfigurationError: it has no such branch.
        """
        head = self.fetch_other(self.branch)
        if head is None:
            raise self._no_branch()
        return head

    def _no_branch(self) -> ConfigurationError:
        listed = self.run("ls-remote", "--heads", "origin").splitlines()
        names = [line.partition("refs/heads/")[2] for line in listed]
        there = f"it has: {', '.join(names[:_NAMES])}" if names else "it has no branch at all"
        return ConfigurationError(
            f"{SECTION}.branch",
            f"the remote has no branch {self.branch!r} ({self.place}; {there})",
            f"Push a first commit to it, name another, or check {SECTION}.remote",
        )

    def fetch_other(self, branch: str) -> str | None:
        """Bring any branch up to date and return its revision; None when the remote does not have it."""
        self._open()
        tracking = f"refs/remotes/origin/{branch}"
        try:
            self._fetch(f"+refs/heads/{branch}:{tracking}")
        except DependencyError as error:
            if _NO_REF in error.problem:
                return None
            raise
        return self.run("rev-parse", "--verify", f"{tracking}^{{commit}}").strip()

    def deepen(self) -> bool:
        """Fetch the history a shallow clone left out; False when all of it is here already."""
        if not self.boundary():
            return False
        refspec = f"+refs/heads/{self.branch}:{self.tracking}"
        self.run("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--unshallow", "origin", refspec)
        return True

    def boundary(self) -> frozenset[str]:
        """Return the commits whose parents a shallow clone left out."""
        try:
            return frozenset((self._folder / "shallow").read_text().split())
        except FileNotFoundError:
            return frozenset()

    def _fetch(self, refspec: str) -> None:
        """Fetch, again when the ref moved meanwhile: the push of a process that was killed may still be ending."""
        first = self._depth > 0 and self.attempt("rev-parse", "--verify", "--quiet", self.tracking)[0] != 0
        depth = [f"--depth={self._depth}"] if first else []
        for attempt in range(1, _FETCHES + 1):
            try:
                self.run("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", *depth, "origin", refspec)
                return
            except DependencyUnavailable as error:
                if _REF_MOVED not in error.problem or attempt == _FETCHES:
                    raise

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
            DependencyUnavailable, DependencyLied: it failed; see `git_failures.explained`.
        """
        status, output, errors = self.attempt(*arguments, environment=environment, stdin=stdin, strip=strip)
        if status != 0:
            raise self.failure(arguments[0], errors or output)
        return output

    def failure(self, command: str, message: str) -> DependencyError:
        """Return the error for a command that failed with `message`."""
        return explained(command, message, place=self.place, seconds=self._timeout.total_seconds())

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
            raise DependencyUnavailable(NAME, safe(str(error))) from error
        status, output, errors = answer  # by `with_extended_output`; the library's types do not say so
        return int(status), _as_text(output), _as_text(errors)

    def _open(self) -> Git:
        if self._git is not None and self._folder.exists():
            return self._git
        environment = {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "SSH_ASKPASS": "true",
            "SSH_ASKPASS_REQUIRE": "force",
            **self._access.environment(self._remote),
            **self._overrides,
        }
        if not self._is_ours():
            self._clone()
        for stale in self._folder.rglob("*.lock"):  # we hold the lock around all commands: their owner is dead
            stale.unlink(missing_ok=True)
        git = Git(self._folder)
        git.update_environment(**environment)
        self._git = git
        return git

    def _is_ours(self) -> bool:
        """Whether the folder holds a clone, and one of this remote: the configuration may have changed."""
        try:
            with Repo(self._folder) as repository:
                found = repository.config_reader("repository").get_value('remote "origin"', "url", default="")
        except (InvalidGitRepositoryError, NoSuchPathError):
            return False
        return found == self._remote

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
                    f"{SECTION}.remote", safe(str(error)), "Give a path or an https or ssh address of the repository"
                ) from error
            shutil.rmtree(self._folder, ignore_errors=True)
            target.rename(self._folder)


def _as_text(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else (value or "")
