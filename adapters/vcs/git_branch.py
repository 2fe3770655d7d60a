"""What git knows of one file on one branch, and commits made from objects alone. Everything is called under the lock.

The branch's own history is its chain of first parents: what stood at its head, one after the other. A commit that came
in by a merge is part of it through the merge.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from adapters.vcs.access import SECTION, GitAccess
from adapters.vcs.base import Commit, NothingToRevert
from adapters.vcs.git_failures import NAME, safe
from adapters.vcs.git_mirror import GitMirror, check_revision
from domain.clock import Clock
from domain.errors import ConfigurationError, ConflictError, DependencyLied, DependencyUnavailable, InvalidInput

KEY_TRAILER = "Evercrew-Key"
_FIELD, _RECORD = "\x1f", "\x1e"
_FORMAT = _FIELD.join(("%H", "%P", "%an <%ae>", "%cI", "%B", "%(trailers:only,unfold)")) + _RECORD
_TRAILER_VALUE = re.compile(r"^[\w.:/@+-]{1,200}$")


class GitBranch:
    """One file of one branch in a mirror."""

    def __init__(self, *, mirror: GitMirror, path: str, clock: Clock, access: GitAccess) -> None:
        self.mirror = mirror
        self.path = path
        self._clock = clock
        self._access = access

    # -- looking ----------------------------------------------------------------------------------------------------

    def text(self, revision: str) -> str:
        """Return the file at a revision.

        Raises:
            DependencyLied: there is none.
        """
        status, output, errors = self.mirror.attempt("cat-file", "blob", f"{revision}:{self.path}", strip=False)
        if status != 0:
            raise DependencyLied(
                NAME,
                f"there is no {self.path} at {revision[:12]} ({self.mirror.place}): {safe(errors)}",
                f"Check {SECTION}.path and {SECTION}.branch",
            )
        return output

    def history(self, head: str, limit: int, since: datetime | None) -> Sequence[Commit]:
        """Return the branch's commits that touch the file, newest first."""
        found = self._touching(head, limit)
        boundary = self.mirror.boundary()
        if boundary and (len(found) < limit or boundary & {commit.revision for commit, _ in found}):
            self.mirror.deepen()
            found = self._touching(head, limit)
        return [self._whole(*each) for each in found if since is None or each[0].at >= since]

    def _touching(self, head: str, limit: int) -> list[tuple[Commit, Sequence[str]]]:
        return self._log("--first-parent", f"--max-count={limit}", head, "--", self.path)

    def _whole(self, commit: Commit, parents: Sequence[str]) -> Commit:
        """A merge made by a forge says what it brought; the trailers stand in the commit it brought."""
        if len(parents) < 2 or KEY_TRAILER in commit.trailers:
            return commit
        brought = self._log("--max-count=1", f"{parents[0]}..{parents[1]}", "--", self.path)
        return (
            commit.model_copy(update={"trailers": {**brought[0][0].trailers, **commit.trailers}}) if brought else commit
        )

    def _log(self, *arguments: str) -> list[tuple[Commit, Sequence[str]]]:
        log = self.mirror.run("log", f"--format={_FORMAT}", *arguments)
        return [_parsed(record) for record in log.split(_RECORD) if record.strip()]

    def find(self, key: str, head: str) -> Commit | None:
        """Return the branch's commit that carries the key; for one that came in by a merge its name is the merge's."""
        if not _TRAILER_VALUE.match(key):
            return None
        found = self._carrying(key, head)
        if found is None and self.mirror.deepen():
            found = self._carrying(key, head)
        return found.model_copy(update={"revision": self._on_branch(found.revision, head)}) if found else None

    def _carrying(self, key: str, head: str) -> Commit | None:
        words = ("--fixed-strings", f"--grep={KEY_TRAILER}: {key}", "--max-count=50")
        commits = (commit for commit, _ in self._log(*words, head))
        return next((commit for commit in commits if commit.trailers.get(KEY_TRAILER) == key), None)

    def _on_branch(self, revision: str, head: str) -> str:
        """The commit on the chain of first parents that brought `revision` in: itself, or a merge."""
        chain = self.mirror.run("rev-list", "--first-parent", "--parents", f"{revision}..{head}").splitlines()
        if not chain or chain[-1].split()[1:2] == [revision]:
            return revision
        after = set(self.mirror.run("rev-list", "--ancestry-path", f"{revision}..{head}").split())
        return [line.split()[0] for line in chain if line.split()[0] in after][-1]

    def contains(self, revision: str, head: str) -> bool:
        """Whether `revision` is part of the history of `head`."""
        status, _, _ = self.mirror.attempt("merge-base", "--is-ancestor", revision, head)
        if status != 0 and self.mirror.deepen():
            status, _, _ = self.mirror.attempt("merge-base", "--is-ancestor", revision, head)
        return status == 0

    def check_untouched(self, expected: str, head: str) -> None:
        """Check that nobody changed the file between two revisions of the branch.

        Raises:
            ConflictError: somebody did, or the branch was rewritten.
        """
        self.known("expected_head", expected)
        if head == expected:
            return
        if not self.contains(expected, head):
            raise ConflictError(
                f"the branch {self.mirror.branch} was rewritten, or an old copy of it answers: {expected[:12]} is no "
                "longer part of it"
            )
        theirs = self.mirror.run("rev-list", "--full-history", f"{expected}..{head}", "--", self.path).split()
        if theirs:
            raise ConflictError(
                f"{self.path} was changed by {theirs[0][:12]} after {expected[:12]}; read it again and decide anew"
            )

    def known(self, field: str, revision: str) -> None:
        """Check that a revision is in the repository; it is fetched, and the history with it, before it is not.

        Raises:
            InvalidInput: it is not.
        """
        check_revision(field, revision)
        if self.has(revision):
            return
        self.mirror.fetch()
        if self.has(revision) or (self.mirror.deepen() and self.has(revision)):
            return
        raise InvalidInput(field, f"{revision} is not in the repository", "Take a revision from the history")

    def has(self, revision: str) -> bool:
        """Whether the clone has the commit."""
        status, _, _ = self.mirror.attempt("cat-file", "-e", f"{revision}^{{commit}}")
        return status == 0

    # -- building ---------------------------------------------------------------------------------------------------

    def tree_with(self, head: str, text: str) -> str:
        """Return the tree of `head` with another text of the file."""
        with tempfile.TemporaryDirectory(prefix="evercrew-git-") as scratch:
            content = Path(scratch) / "content"
            content.write_bytes(text.encode())
            with content.open("rb") as stream:
                blob = self.mirror.run("hash-object", "-w", "--stdin", stdin=stream).strip()
            index = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
            self.mirror.run("read-tree", head, environment=index)
            self.mirror.run("update-index", "--add", "--cacheinfo", f"100644,{blob},{self.path}", environment=index)
            return self.mirror.run("write-tree", environment=index).strip()

    def commit_tree(self, tree: str, parent: str, message: str, *, sign: bool = False) -> str:
        """Return a new commit; `sign` signs it where a key is configured.

        Raises:
            ConfigurationError: the key cannot sign.
        """
        signature = ["-S"] if sign and self._access.signs else []
        arguments = ("commit-tree", *signature, tree, "-p", parent, "-m", message)
        status, output, errors = self.mirror.attempt(*arguments, environment=self._identity())
        if status == 0:
            return output.strip()
        if signature:
            raise ConfigurationError(
                f"{SECTION}.signing_key",
                f"the commit cannot be signed: {safe(errors)}",
                "Name a key file without a passphrase, or the id of a secret GPG key of this user",
            )
        raise self.mirror.failure("commit-tree", errors)

    def _identity(self) -> dict[str, str]:
        name, mail = self._access.author
        date = f"{int(self._clock.now().timestamp())} +0000"
        roles = ("AUTHOR", "COMMITTER")
        fields = (("NAME", name), ("EMAIL", mail), ("DATE", date))
        return {f"GIT_{role}_{field}": value for role in roles for field, value in fields}

    def reverted_tree(self, revision: str, head: str) -> str:
        """Return the tree of `head` without the change of `revision`; a merge is undone against its first parent.

        It is the three-way merge of `head` and a commit that undoes the change right after it: `revision` is the base.

        Raises:
            ConflictError: it does not apply. NothingToRevert: it would change nothing.
        """
        self.known("revision", revision)
        full, parents = self._parents(revision)
        if len(parents) not in (1, 2):
            raise InvalidInput("revision", f"{full[:12]} has {len(parents)} parents", "Name an ordinary commit")
        if not self.contains(full, head):
            raise ConflictError(f"{full[:12]} is not part of {self.mirror.branch}: there is nothing to revert")
        if self._tree(full) == self._tree(parents[0]):
            raise NothingToRevert(f"{full[:12]} changed nothing: there is nothing to revert")
        undone = self.commit_tree(f"{parents[0]}^{{tree}}", full, "undo")
        status, output, errors = self.mirror.attempt("merge-tree", "--write-tree", "--messages", head, undone)
        if status == 1:
            raise ConflictError(f"reverting {full[:12]} on {head[:12]} does not apply: the same lines changed later")
        if status != 0:
            raise DependencyUnavailable(NAME, f"`git merge-tree` failed: {errors[:300]}", "Install git 2.38 or newer")
        tree = output.split()[0]
        if tree == self._tree(head):
            raise NothingToRevert(f"reverting {full[:12]} on {head[:12]} changes nothing: it was reverted before")
        return tree

    def _tree(self, revision: str) -> str:
        return self.mirror.run("rev-parse", f"{revision}^{{tree}}").strip()

    def _parents(self, revision: str) -> tuple[str, Sequence[str]]:
        full, *parents = self.mirror.run("rev-list", "--parents", "--max-count=1", revision).split()
        if full in self.mirror.boundary() and self.mirror.deepen():
            return self._parents(revision)
        return full, parents


def message_with(message: str, trailers: Mapping[str, str]) -> str:
    """Return a commit's message with its trailers.

    Raises:
        InvalidInput: a value cannot stand in a trailer, or the message is empty.
    """
    for name, value in trailers.items():
        if not _TRAILER_VALUE.match(value):
            raise InvalidInput(name, f"{value!r} cannot stand in a trailer", "Use letters, digits and ._:/@+- only")
    if not message.strip():
        raise InvalidInput("message", "is empty", "Say what the change does")
    return "\n".join([message.strip(), "", *(f"{name}: {value}" for name, value in trailers.items())])


def _parsed(record: str) -> tuple[Commit, Sequence[str]]:
    fields = record.lstrip("\n").split(_FIELD)
    if len(fields) != 6:
        raise DependencyLied(NAME, "`git log` answered in another form than it was asked for")
    revision, parents, author, at, message, trailers = fields
    pairs = [(name, value) for name, found, value in (line.partition(": ") for line in trailers.splitlines()) if found]
    commit = Commit(
        revision=revision,
        author=author,
        at=datetime.fromisoformat(at).astimezone(UTC),
        message=message.strip(),
        trailers=dict(pairs),
    )
    return commit, parents.split()
