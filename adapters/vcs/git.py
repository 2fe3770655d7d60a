"""The values repository in git, by GitPython: a path, or a remote over HTTPS or SSH.

Commits are made from objects in a bare clone and pushed as ``<commit>:refs/heads/<branch>``. The push is the effect,
and it is atomic: killed before it, nothing happened; killed after it, the trailer in the remote says so, and `observe`
finds it there. What was pushed is fetched back and looked at before it counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from adapters.meter import metered
from adapters.vcs.access import SECTION, GitAccess, check_branch, check_path
from adapters.vcs.base import AUDIT_TRAILER, EFFECT_COMMIT, EFFECT_REVERT, EFFECT_WITHDRAW, Commit
from adapters.vcs.git_branch import KEY_TRAILER, GitBranch, message_with
from adapters.vcs.git_failures import NAME, TIMED_OUT, AccessRefused
from adapters.vcs.git_mirror import GitMirror, check_revision
from adapters.vcs.values import check_values
from domain.clock import Clock
from domain.errors import (
    ConfigurationError,
    ConflictError,
    DependencyError,
    DependencyTimeout,
    DependencyUnavailable,
    OutcomeUnknown,
)
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

_RACE = (
    "[rejected]",
    "fetch first",
    "non-fast-forward",
    "stale info",
    "cannot lock ref",
    "failed to update ref",
    "incorrect old value",
    "reference already exists",
)
_ATTEMPTS = 6


class GitVcs:
    """`VcsPort` on one file of one branch.

    Args:
        remote: a path, or an https or ssh address without a credential in it.
        folder: holds the clone.
        access: credentials, trust and signature.
        depth: commits of the first fetch, 0 for all; more is fetched when a question needs it.
        environment: laid over what git is started with.
        anchor: says how the audit chain stands; a commit carries it.
    """

    reviewed = False

    def __init__(
        self,
        *,
        remote: str,
        branch: str,
        path: str,
        folder: Path,
        permits: PermitVerifier,
        clock: Clock,
        access: GitAccess | None = None,
        depth: int = 0,
        timeout: timedelta = timedelta(seconds=30),
        environment: Mapping[str, str] | None = None,
        anchor: Callable[[], str] = str,
    ) -> None:
        if depth < 0:
            raise ConfigurationError(f"{SECTION}.depth", f"{depth} is no number of commits", "Give 0 for all, or more")
        self._access = access or GitAccess()
        self._permits = permits
        self._anchor = anchor
        self._mirror = GitMirror(
            remote=remote,
            branch=check_branch(branch),
            folder=folder,
            clock=clock,
            timeout=timeout,
            access=self._access,
            environment=environment or {},
            depth=depth,
        )
        self.branch = GitBranch(mirror=self._mirror, path=check_path(path), clock=clock, access=self._access)

    def head(self) -> str:
        """See `VcsPort.head`."""
        with metered(NAME), self._mirror.locked():
            return self._mirror.fetch()

    def read(self, revision: str | None = None) -> str:
        """See `VcsPort.read`."""
        with metered(NAME), self._mirror.locked():
            if revision is None:
                return self.branch.text(self._mirror.fetch())
            self.branch.known("revision", revision)
            return self.branch.text(revision)

    def history(self, limit: int = 20, since: datetime | None = None) -> Sequence[Commit]:
        """See `VcsPort.history`."""
        with metered(NAME), self._mirror.locked():
            return self.branch.history(self._mirror.fetch(), limit, since)

    def contains(self, revision: str) -> bool:
        """See `VcsPort.contains`."""
        with metered(NAME), self._mirror.locked():
            return self.branch.contains(check_revision("revision", revision), self._mirror.fetch())

    def diff(self, older: str, newer: str) -> str:
        """See `VcsPort.diff`."""
        with metered(NAME), self._mirror.locked():
            self.branch.known("older", older)
            self.branch.known("newer", newer)
            arguments = ("diff", "--no-color", "--no-ext-diff", older, newer, "--", self.branch.path)
            return self._mirror.run(*arguments, strip=False)

    def commit(
        self, *, text: str, message: str, expected_head: str, cycle_id: str, key: str, permit: Permit | None
    ) -> str:
        """See `VcsPort.commit`."""
        self._permits.spend(permit, effect=EFFECT_COMMIT, key=key)
        body = message_with(message, self.anchored({"Evercrew-Cycle": cycle_id, KEY_TRAILER: key}))
        check_values(text)

        def build(head: str) -> str:
            self.branch.check_untouched(expected_head, head)
            return self.branch.commit_tree(self.branch.tree_with(head, text), head, body, sign=True)

        with metered(NAME), self._mirror.locked():
            return self._publish(build, key)

    def rehearse_revert(self, revision: str) -> str:
        """See `VcsPort.rehearse_revert`."""
        with metered(NAME), self._mirror.locked():
            text = self.branch.text(self.branch.reverted_tree(revision, self._mirror.fetch()))
        check_values(text)
        return text

    def rehearse_change(self, text: str) -> str:
        """See `VcsPort.rehearse_change`."""
        check_values(text)
        with metered(NAME), self._mirror.locked():
            head = self._mirror.fetch()
            changed = self.branch.commit_tree(self.branch.tree_with(head, text), head, "rehearsal")
            undone = self.branch.text(self.branch.reverted_tree(changed, changed))
        check_values(undone)
        return undone

    def revert(self, *, revision: str, message: str, cycle_id: str, key: str, permit: Permit | None) -> str:
        """See `VcsPort.revert`."""
        self._permits.spend(permit, effect=EFFECT_REVERT, key=key)
        body = message_with(message, self.anchored(revert_trailers(revision, cycle_id, key)))

        def build(head: str) -> str:
            tree = self.branch.reverted_tree(revision, head)
            check_values(self.branch.text(tree))
            return self.branch.commit_tree(tree, head, body, sign=True)

        with metered(NAME), self._mirror.locked():
            return self._publish(build, key)

    def withdraw(self, *, proposal: str, reason: str, key: str, permit: Permit | None) -> bool:
        """See `VcsPort.withdraw`: nothing is proposed here, it is pushed."""
        self._permits.spend(permit, effect=EFFECT_WITHDRAW, key=key)
        return False

    def observe(self, key: str) -> Observation:
        """See `VcsPort.observe`."""
        with metered(NAME), self._mirror.locked():
            found = self.branch.find(key, self._mirror.fetch())
        if found is None:
            return Observation.absent("no commit carries the key")
        return Observation.done({"revision": found.revision})

    def check(self, target: str | None = None) -> str:
        """See `VcsPort.check`: reads, signs a commit that nobody gets to see, and asks for the right to push.

        `target` is the branch that is pushed to, where it is another one.
        """
        with metered(NAME), self._mirror.locked():
            head = self._mirror.fetch()
            check_values(self.branch.text(head))
            signed = ""
            if self._access.signs:
                self.branch.commit_tree(f"{head}^{{tree}}", head, "check", sign=True)
                signed = f", commits are signed ({self._access.signs})"
            self._ask_to_push(head, target or self._mirror.branch)
        return (
            f"{NAME}: {self._mirror.branch} is at {head[:12]}, {self.branch.path} parses{signed}, and a dry run may "
            "push (hooks and branch protection show at a real push only)"
        )

    def _ask_to_push(self, revision: str, branch: str) -> None:
        """Check that the remote would begin to take a push to `branch`; nothing is sent and no hook is run.

        Raises:
            DependencyError: it would not.
        """
        target = f"{revision}:refs/heads/{branch}"
        arguments = ("push", "--dry-run", "--porcelain", "--no-verify", "origin", target)
        status, output, errors = self._mirror.attempt(*arguments)
        if status != 0 and not any(word in output + errors for word in _RACE):
            raise self._mirror.failure("push", f"{errors} {output}")

    def _publish(self, build: Callable[[str], str], key: str) -> str:
        """Build a commit on the fetched head and push it; build anew on the new head when somebody was faster."""
        for _ in range(_ATTEMPTS):
            head = self._mirror.fetch()
            done = self.branch.find(key, head)
            if done is not None:
                return done.revision
            commit = build(head)
            if self.push(commit, self._mirror.branch, key):
                self._look_back(commit)
                return commit
        raise ConflictError(
            f"the branch {self._mirror.branch} moved {_ATTEMPTS} times in a row while pushing; try later"
        )

    def _look_back(self, commit: str) -> None:
        """A push counts when the branch shows it: what takes pushes and what answers reads may be two machines."""
        try:
            head = self._mirror.fetch()
        except DependencyError as error:
            raise OutcomeUnknown(f"{NAME}: {commit[:12]} was pushed, and now the remote cannot be read") from error
        if not self.branch.contains(commit, head):
            raise OutcomeUnknown(
                f"{NAME}: the push of {commit[:12]} was acknowledged, and {self._mirror.branch} shows {head[:12]} "
                "without it: an old copy answers, or the branch was rewritten. Look at the remote before anything is "
                "repeated"
            )

    def push(self, commit: str, branch: str, key: str, *, lease: str | None = None) -> bool:
        """Push; False when the race was lost. What a failing push left behind is looked up, never assumed.

        `lease` lets the push replace that revision of the branch, and no other.

        Raises:
            AccessRefused: the remote does not want it; nothing was pushed.
            DependencyUnavailable, DependencyTimeout: nothing was pushed. OutcomeUnknown: that cannot be found out.
        """
        force = [f"--force-with-lease=refs/heads/{branch}:{lease}"] if lease else []
        target = f"{commit}:refs/heads/{branch}"
        status, output, errors = self._mirror.attempt("push", "--porcelain", "--no-verify", *force, "origin", target)
        if status == 0:
            return True
        if any(word in output + errors for word in _RACE):
            return False
        problem = self._mirror.failure("push", f"{errors} {output}".strip())
        if isinstance(problem, AccessRefused):
            raise type(problem)(NAME, f"{problem.problem}; nothing was pushed", problem.remedy)
        if self._arrived(branch, key, problem, late=errors.startswith(TIMED_OUT)):
            return True
        if isinstance(problem, DependencyTimeout):
            raise DependencyTimeout(NAME, f"{problem.problem}; nothing was pushed", problem.remedy)
        raise DependencyUnavailable(NAME, f"{problem.problem}; nothing was pushed", problem.remedy)

    def anchored(self, trailers: dict[str, str]) -> dict[str, str]:
        """Return the trailers with what the audit chain looks like now: the remote keeps it out of our reach."""
        said = self._anchor()
        return {**trailers, AUDIT_TRAILER: said} if said else trailers

    def _arrived(self, branch: str, key: str, problem: DependencyError, *, late: bool) -> bool:
        try:
            head = self._mirror.fetch_other(branch)
        except DependencyError as error:
            if late:
                raise OutcomeUnknown(f"{NAME}: the push did not answer, and now the remote does not either") from error
            raise DependencyUnavailable(
                NAME, f"the push failed and the remote cannot be read: {problem.problem}", problem.remedy
            ) from error
        return head is not None and self.branch.find(key, head) is not None


def revert_trailers(revision: str, cycle_id: str, key: str) -> dict[str, str]:
    """Return the trailers of a revert."""
    return {
        "Evercrew-Reverts": check_revision("revision", revision),
        "Evercrew-Cycle": cycle_id,
        KEY_TRAILER: key,
    }
