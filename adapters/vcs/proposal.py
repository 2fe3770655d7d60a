"""The git side of a pull request: its branch, the commit on it, and what became of it on the base.

The commit carries, besides the trailers of every commit, ``Evercrew-Values``: the SHA-256 of the file as it was asked
for. Whatever way it is merged, what stands on the base afterwards is compared with it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from adapters.vcs.base import Commit
from adapters.vcs.forge import OURS
from adapters.vcs.git import GitVcs
from adapters.vcs.git_branch import KEY_TRAILER, message_with
from domain.errors import ConflictError, DependencyLied, OutcomeUnknown

VALUES_TRAILER = "Evercrew-Values"
_SHORT = 12
_ASKED = re.compile(rf"^{VALUES_TRAILER}: ([0-9a-f]{{64}})$", re.MULTILINE)


@dataclass(frozen=True)
class Change:
    """What is to be proposed: `build` makes its tree on a head."""

    key: str
    cycle_id: str
    message: str
    trailers: dict[str, str]
    build: Callable[[str], str]

    @property
    def branch(self) -> str:
        """The branch it is proposed on."""
        key = self.key if re.fullmatch(r"[0-9a-f]{32}", self.key) else hashlib.sha256(self.key.encode()).hexdigest()
        return f"{OURS}{self.cycle_id}/{key[:_SHORT]}"


class Proposals:
    """Branches beside the base of a values repository."""

    def __init__(self, git: GitVcs) -> None:
        self._git = git
        self._branch = git.branch
        self._mirror = git.branch.mirror

    @property
    def base(self) -> str:
        """The branch everything is proposed to."""
        return self._mirror.branch

    def propose(self, change: Change) -> str:
        """Push the change's branch and return its commit's message; a branch from an earlier attempt is taken up.

        Where the base touched the file since that attempt, the branch is put on the base again.

        Raises:
            ConflictError: the base moved and touched the file, or the branch is somebody else's.
        """
        with self._mirror.locked():
            head = self._mirror.fetch()
            tip = self._mirror.fetch_other(change.branch)
            if tip is not None and self._branch.find(change.key, tip) is None:
                raise ConflictError(f"{change.branch} is there and is not ours: its commits do not carry the key")
            if tip is None or self._moved(tip, head):
                commit = self._commit(change, head)
                if not self._git.push(commit, change.branch, change.key, lease=tip):
                    raise ConflictError(f"somebody else pushed {change.branch} at the same time")
                tip = commit
            found = self._branch.find(change.key, tip)
            return found.message if found else change.message

    def _commit(self, change: Change, head: str) -> str:
        tree = change.build(head)
        trailers = {VALUES_TRAILER: self._digest(tree), **change.trailers}
        return self._branch.commit_tree(tree, head, message_with(change.message, trailers), sign=True)

    def moved(self, branch: str) -> str:
        """Return who touched the file on the base since the branch left it; empty when nobody did."""
        with self._mirror.locked():
            head = self._mirror.fetch()
            tip = self._mirror.fetch_other(branch)
            if tip is None:
                return ""
            return self._moved(tip, head)

    def _moved(self, tip: str, head: str) -> str:
        self._branch.contains(tip, head)  # fetches the history where it is needed
        status, fork, _ = self._mirror.attempt("merge-base", tip, head)
        if status != 0:
            return f"{self.base} was rewritten: it has nothing in common with the branch any more"
        try:
            self._branch.check_untouched(fork.strip(), head)
        except ConflictError as problem:
            return str(problem)
        return ""

    def renew(self, branch: str, key: str) -> bool:
        """Put the branch's one commit on the newest base; False when somebody else has commits on it."""
        with self._mirror.locked():
            head = self._mirror.fetch()
            tip = self._mirror.fetch_other(branch)
            found = self._branch.find(key, tip) if tip else None
            if tip is None or found is None or found.revision != tip:
                return False
            tree = self._branch.tree_with(head, self._branch.text(tip))
            commit = self._branch.commit_tree(tree, head, found.message, sign=True)
            return self._git.push(commit, branch, key, lease=tip)

    def landed(self, key: str) -> Commit | None:
        """Return the commit on the base that carries the key.

        Raises:
            OutcomeUnknown: the file there is not what was asked for.
        """
        with self._mirror.locked():
            found = self._branch.find(key, self._mirror.fetch())
            if found is not None:
                self._check_text(found.revision, found.trailers.get(VALUES_TRAILER, ""))
            return found

    def merged(self, key: str, revision: str, body: str) -> str | None:
        """Return the commit on the base by which a merged request landed; None while the base does not show it.

        `revision` is what the forge says it is: a squashed commit may have lost its trailers.

        Raises:
            OutcomeUnknown: the file there is not what was asked for.
        """
        found = self.landed(key)
        if found is not None:
            return found.revision
        asked = _ASKED.search(body)
        if asked is None:
            raise DependencyLied("git", f"the request does not say any more what was asked for ({VALUES_TRAILER})")
        with self._mirror.locked():
            head = self._mirror.fetch()
            if not revision or not self._branch.has(revision) or not self._branch.contains(revision, head):
                return None
            self._check_text(revision, asked.group(1))
            return revision

    def _check_text(self, revision: str, asked: str) -> None:
        if asked and self._digest(revision) != asked:
            raise OutcomeUnknown(
                f"git: {revision[:12]} is merged, and {self._branch.path} there is not what was asked for: somebody "
                "changed it in the review or beside it. Compare the two before anything is built on it"
            )

    def _digest(self, revision: str) -> str:
        return hashlib.sha256(self._branch.text(revision).encode()).hexdigest()


def key_line(key: str) -> str:
    """Return the line by which a request is found."""
    return f"{KEY_TRAILER}: {key}"
