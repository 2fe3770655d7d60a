"""The values repository in git, by GitPython.

Commits are made from objects in a bare clone and pushed as ``<commit>:refs/heads/<branch>``. The push is the effect,
and it is atomic: killed before it, nothing happened; killed after it, the trailer in the remote says so, and `observe`
finds it there.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from adapters.vcs.base import EFFECT_COMMIT, EFFECT_REVERT, Commit
from adapters.vcs.git_mirror import NAME, GitMirror, check_revision
from adapters.vcs.values import check_values
from domain.clock import Clock
from domain.errors import (
    ConfigurationError,
    ConflictError,
    DependencyError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    InvalidInput,
    OutcomeUnknown,
)
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

_FIELD, _RECORD = "\x1f", "\x1e"
_FORMAT = _FIELD.join(("%H", "%an <%ae>", "%cI", "%B", "%(trailers:only,unfold)")) + _RECORD
_TRAILER_VALUE = re.compile(r"^[\w.:/@+-]{1,200}$")
_RACE = ("[rejected]", "fetch first", "non-fast-forward", "cannot lock ref", "failed to update ref")
_ATTEMPTS = 6


class GitVcs:
    """`VcsPort` on one file of one branch. `author` is name and mail of the commits; `folder` holds the clone."""

    def __init__(
        self,
        *,
        remote: str,
        branch: str,
        path: str,
        folder: Path,
        permits: PermitVerifier,
        clock: Clock,
        author: tuple[str, str] = ("Evercrew", "evercrew@localhost"),
        timeout: timedelta = timedelta(seconds=30),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or not path:
            raise ConfigurationError("vcs.path", f"{path!r} is not a path in the repository", "Give e.g. values.yaml")
        if not re.match(r"^[\w][\w./-]*$", branch):
            raise ConfigurationError("vcs.branch", f"{branch!r} is not a branch name", "Give e.g. main")
        self._path = path
        self._branch = branch
        self._permits = permits
        self._clock = clock
        self._author = author
        self._mirror = GitMirror(
            remote=remote, branch=branch, folder=folder, clock=clock, timeout=timeout, environment=environment or {}
        )

    def head(self) -> str:
        """See `VcsPort.head`."""
        with self._mirror.locked():
            return self._mirror.fetch()

    def read(self, revision: str | None = None) -> str:
        """See `VcsPort.read`."""
        with self._mirror.locked():
            if revision is None:
                return self._text(self._mirror.fetch())
            self._known("revision", revision)
            return self._text(revision)

    def history(self, limit: int = 20, since: datetime | None = None) -> Sequence[Commit]:
        """See `VcsPort.history`."""
        with self._mirror.locked():
            head = self._mirror.fetch()
            log = self._mirror.run("log", f"--max-count={limit}", f"--format={_FORMAT}", head, "--", self._path)
        commits = [_commit(record) for record in log.split(_RECORD) if record.strip()]
        return [commit for commit in commits if since is None or commit.at >= since]

    def diff(self, older: str, newer: str) -> str:
        """See `VcsPort.diff`."""
        with self._mirror.locked():
            self._known("older", older)
            self._known("newer", newer)
            return self._mirror.run("diff", "--no-color", "--no-ext-diff", older, newer, "--", self._path, strip=False)

    def commit(
        self, *, text: str, message: str, expected_head: str, cycle_id: str, key: str, permit: Permit | None
    ) -> str:
        """See `VcsPort.commit`."""
        self._permits.spend(permit, effect=EFFECT_COMMIT, key=key)
        body = _message(message, {"Evercrew-Cycle": cycle_id, "Evercrew-Key": key})
        check_values(text)
        with self._mirror.locked():

            def build(head: str) -> str:
                self._check_untouched(expected_head, head)
                return self._commit_tree(self._tree_with(head, text), head, body)

            return self._publish(build, key)

    def rehearse_revert(self, revision: str) -> str:
        """See `VcsPort.rehearse_revert`."""
        with self._mirror.locked():
            tree = self._reverted_tree(revision, self._mirror.fetch())
            text = self._text(tree)
        check_values(text)
        return text

    def rehearse_change(self, text: str) -> str:
        """See `VcsPort.rehearse_change`."""
        check_values(text)
        with self._mirror.locked():
            head = self._mirror.fetch()
            changed = self._commit_tree(self._tree_with(head, text), head, "rehearsal")
            undone = self._text(self._reverted_tree(changed, changed))
        check_values(undone)
        return undone

    def revert(self, *, revision: str, message: str, cycle_id: str, key: str, permit: Permit | None) -> str:
        """See `VcsPort.revert`."""
        self._permits.spend(permit, effect=EFFECT_REVERT, key=key)
        trailers = {"Evercrew-Reverts": check_revision("revision", revision), "Evercrew-Cycle": cycle_id}
        body = _message(message, {**trailers, "Evercrew-Key": key})
        with self._mirror.locked():

            def build(head: str) -> str:
                tree = self._reverted_tree(revision, head)
                check_values(self._text(tree))
                return self._commit_tree(tree, head, body)

            return self._publish(build, key)

    def observe(self, key: str) -> Observation:
        """See `VcsPort.observe`."""
        with self._mirror.locked():
            found = self._find(key, self._mirror.fetch())
        return Observation.done({"revision": found}) if found else Observation.absent("no commit carries the key")

    def check(self) -> str:
        """See `VcsPort.check`."""
        with self._mirror.locked():
            head = self._mirror.fetch()
            check_values(self._text(head))
        return f"{NAME}: {self._branch} is at {head[:12]}, {self._path} parses"

    def _publish(self, build: Callable[[str], str], key: str) -> str:
        """Build a commit on the fetched head and push it; build anew on the new head when somebody was faster."""
        for _ in range(_ATTEMPTS):
            head = self._mirror.fetch()
            done = self._find(key, head)
            if done is not None:
                return done
            commit = build(head)
            if self._push(commit, key):
                return commit
        raise ConflictError(f"the branch {self._branch} moved {_ATTEMPTS} times in a row while pushing; try later")

    def _push(self, commit: str, key: str) -> bool:
        """Push; False when the race was lost. What a failing push left behind is looked up, never assumed."""
        target = f"{commit}:refs/heads/{self._branch}"
        status, output, errors = self._mirror.attempt("push", "--porcelain", "--no-verify", "origin", target)
        if status == 0:
            return True
        if any(word in output + errors for word in _RACE):
            return False
        problem = " ".join((errors or output).split())[:400]
        try:
            arrived = self._find(key, self._mirror.fetch()) is not None
        except DependencyError as error:
            if problem.startswith("Timeout:"):
                raise OutcomeUnknown(f"{NAME}: the push did not answer, and now the remote does not either") from error
            raise DependencyUnavailable(NAME, f"the push failed and nothing was pushed: {problem}") from error
        if arrived:
            return True
        if problem.startswith("Timeout:"):
            raise DependencyTimeout(NAME, "the push did not answer in time and nothing was pushed")
        raise DependencyUnavailable(NAME, f"the push was refused and nothing was pushed: {problem}")

    def _find(self, key: str, head: str) -> str | None:
        if not _TRAILER_VALUE.match(key):
            return None
        log = self._mirror.run(
            "log", f"--format={_FORMAT}", "--fixed-strings", f"--grep=Evercrew-Key: {key}", "--max-count=50", head
        )
        commits = [_commit(record) for record in log.split(_RECORD) if record.strip()]
        return next((commit.revision for commit in commits if commit.trailers.get("Evercrew-Key") == key), None)

    def _check_untouched(self, expected: str, head: str) -> None:
        self._known("expected_head", expected)
        if head == expected:
            return
        status, _, _ = self._mirror.attempt("merge-base", "--is-ancestor", expected, head)
        if status != 0:
            raise ConflictError(f"the branch {self._branch} was rewritten: {expected[:12]} is no longer part of it")
        theirs = self._mirror.run("rev-list", "--full-history", f"{expected}..{head}", "--", self._path).split()
        if theirs:
            raise ConflictError(
                f"{self._path} was changed by {theirs[0][:12]} after {expected[:12]}; read it again and decide anew"
            )

    def _known(self, field: str, revision: str) -> None:
        check_revision(field, revision)
        if self._has(revision):
            return
        self._mirror.fetch()
        if not self._has(revision):
            raise InvalidInput(field, f"{revision} is not in the repository", "Take a revision from the history")

    def _has(self, revision: str) -> bool:
        status, _, _ = self._mirror.attempt("cat-file", "-e", f"{revision}^{{commit}}")
        return status == 0

    def _text(self, revision: str) -> str:
        status, output, errors = self._mirror.attempt("cat-file", "blob", f"{revision}:{self._path}", strip=False)
        if status != 0:
            raise DependencyLied(NAME, f"there is no {self._path} at {revision[:12]}: {' '.join(errors.split())[:200]}")
        return output

    def _tree_with(self, head: str, text: str) -> str:
        with tempfile.TemporaryDirectory(prefix="evercrew-git-") as scratch:
            content = Path(scratch) / "content"
            content.write_bytes(text.encode())
            with content.open("rb") as stream:
                blob = self._mirror.run("hash-object", "-w", "--stdin", stdin=stream).strip()
            index = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
            self._mirror.run("read-tree", head, environment=index)
            self._mirror.run("update-index", "--add", "--cacheinfo", f"100644,{blob},{self._path}", environment=index)
            return self._mirror.run("write-tree", environment=index).strip()

    def _commit_tree(self, tree: str, parent: str, message: str) -> str:
        name, mail = self._author
        date = f"{int(self._clock.now().timestamp())} +0000"
        identity = {
            **{f"GIT_{role}_NAME": name for role in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{role}_EMAIL": mail for role in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{role}_DATE": date for role in ("AUTHOR", "COMMITTER")},
        }
        return self._mirror.run("commit-tree", tree, "-p", parent, "-m", message, environment=identity).strip()

    def _reverted_tree(self, revision: str, head: str) -> str:
        """The tree of `head` without the change of `revision`.

        It is the three-way merge of `head` and a commit that undoes the change right after it: `revision` is the base.
        """
        self._known("revision", revision)
        full, *parents = self._mirror.run("rev-list", "--parents", "--max-count=1", revision).split()
        if len(parents) != 1:
            raise InvalidInput("revision", f"{full[:12]} has {len(parents)} parents", "Name an ordinary commit")
        status, _, _ = self._mirror.attempt("merge-base", "--is-ancestor", full, head)
        if status != 0:
            raise ConflictError(f"{full[:12]} is not part of {self._branch}: there is nothing to revert")
        undone = self._commit_tree(f"{parents[0]}^{{tree}}", full, "undo")
        status, output, errors = self._mirror.attempt("merge-tree", "--write-tree", "--messages", head, undone)
        if status == 1:
            raise ConflictError(f"reverting {full[:12]} on {head[:12]} does not apply: the same lines changed later")
        if status != 0:
            raise DependencyUnavailable(NAME, f"`git merge-tree` failed: {errors[:300]}", "Install git 2.38 or newer")
        tree = output.split()[0]
        if tree == self._mirror.run("rev-parse", f"{head}^{{tree}}").strip():
            raise ConflictError(f"reverting {full[:12]} on {head[:12]} changes nothing: it was reverted before")
        return tree


def _message(message: str, trailers: Mapping[str, str]) -> str:
    for name, value in trailers.items():
        if not _TRAILER_VALUE.match(value):
            raise InvalidInput(name, f"{value!r} cannot stand in a trailer", "Use letters, digits and ._:/@+- only")
    if not message.strip():
        raise InvalidInput("message", "is empty", "Say what the change does")
    return "\n".join([message.strip(), "", *(f"{name}: {value}" for name, value in trailers.items())])


def _commit(record: str) -> Commit:
    fields = record.lstrip("\n").split(_FIELD)
    if len(fields) != 5:
        raise DependencyLied(NAME, "`git log` answered in another form than it was asked for")
    revision, author, at, message, trailers = fields
    pairs = [(name, value) for name, found, value in (line.partition(": ") for line in trailers.splitlines()) if found]
    return Commit(
        revision=revision,
        author=author,
        at=datetime.fromisoformat(at).astimezone(UTC),
        message=message.strip(),
        trailers=dict(pairs),
    )
