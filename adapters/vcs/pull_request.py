"""The values repository behind pull requests: the merge is the approval.

An effect is a branch with one commit and a request to merge it. It is done when the base shows it, by whatever way it
was merged. Until then it has not happened: `observe` answers *absent* while a request is open, and a repeated call
under the same key finds that request and goes on waiting. So a crash at any instant opens no second one. A request that
a person closed is an answer too, and stays one: the same key is not proposed again. One that we withdrew ourselves,
because the base moved on or because its cycle ended, is marked so and is no refusal by anybody; its key may be proposed
anew on the values as they are then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Literal

from adapters.rest import Refused
from adapters.vcs.base import EFFECT_COMMIT, EFFECT_REVERT, EFFECT_WITHDRAW, ApprovalPending, Commit
from adapters.vcs.forge import OURS, ForgePort, PullRequest, State, has_line
from adapters.vcs.git import GitVcs, revert_trailers
from adapters.vcs.git_branch import KEY_TRAILER, message_with
from adapters.vcs.git_failures import AccessRefused
from adapters.vcs.proposal import Change, Proposals, key_line
from adapters.vcs.values import check_values
from domain.clock import Clock
from domain.errors import (
    ConfigurationError,
    ConflictError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    InvalidInput,
    OutcomeUnknown,
)
from domain.ids import check_cycle_id
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

Emergency = Literal["direct", "pull_request"]
_TITLE = 120
_RULE = "Merging this is the approval. Closing it without a merge is the refusal, with the last comment as its reason."


class ChecksFailed(DependencyUnavailable):
    """The forge holds the request back because checks failed; once they pass, the same request is waited for."""


class PullRequestVcs:
    """`VcsPort` whose commits and reverts go through a forge.

    Args:
        git: the same repository in commit mode; reads, branches and direct reverts go through it.
        patience: how long one call waits for a merge. It must end before the caller's own timeout does.
        poll: pause between two looks.
        emergency: how reverts go: through a request too, or directly to the base (which needs the right to push).
    """

    reviewed = True

    def __init__(
        self,
        *,
        git: GitVcs,
        forge: ForgePort,
        permits: PermitVerifier,
        clock: Clock,
        patience: timedelta = timedelta(seconds=90),
        poll: timedelta = timedelta(seconds=10),
        emergency: Emergency = "pull_request",
    ) -> None:
        if poll <= timedelta() or patience < timedelta():
            raise ConfigurationError("values.poll", f"{poll} is no pause", "Give a positive duration")
        self._git = git
        self._forge = forge
        self._permits = permits
        self._clock = clock
        self._patience = patience
        self._poll = poll
        self._emergency = emergency
        self._proposals = Proposals(git)

    def head(self) -> str:
        """See `VcsPort.head`."""
        return self._git.head()

    def read(self, revision: str | None = None) -> str:
        """See `VcsPort.read`."""
        return self._git.read(revision)

    def history(self, limit: int = 20, since: datetime | None = None) -> Sequence[Commit]:
        """See `VcsPort.history`."""
        return self._git.history(limit, since)

    def contains(self, revision: str) -> bool:
        """See `VcsPort.contains`."""
        return self._git.contains(revision)

    def diff(self, older: str, newer: str) -> str:
        """See `VcsPort.diff`."""
        return self._git.diff(older, newer)

    def rehearse_revert(self, revision: str) -> str:
        """See `VcsPort.rehearse_revert`."""
        return self._git.rehearse_revert(revision)

    def rehearse_change(self, text: str) -> str:
        """See `VcsPort.rehearse_change`."""
        return self._git.rehearse_change(text)

    def commit(
        self, *, text: str, message: str, expected_head: str, cycle_id: str, key: str, permit: Permit | None
    ) -> str:
        """See `VcsPort.commit`."""
        self._permits.spend(permit, effect=EFFECT_COMMIT, key=key)
        check_values(text)
        branch = self._git.branch

        def build(head: str) -> str:
            branch.check_untouched(expected_head, head)
            return branch.tree_with(head, text)

        trailers = self._git.anchored({"Evercrew-Cycle": cycle_id, KEY_TRAILER: key})
        return self._carry_out(_change(message, trailers, build))

    def revert(self, *, revision: str, message: str, cycle_id: str, key: str, permit: Permit | None) -> str:
        """See `VcsPort.revert`."""
        if self._emergency == "direct":
            return self._git.revert(revision=revision, message=message, cycle_id=cycle_id, key=key, permit=permit)
        self._permits.spend(permit, effect=EFFECT_REVERT, key=key)
        branch = self._git.branch

        def build(head: str) -> str:
            tree = branch.reverted_tree(revision, head)
            check_values(branch.text(tree))
            return tree

        trailers = self._git.anchored(revert_trailers(revision, cycle_id, key))
        return self._carry_out(_change(message, trailers, build))

    def withdraw(self, *, proposal: str, reason: str, key: str, permit: Permit | None) -> bool:
        """See `VcsPort.withdraw`. Somebody may merge it in the same moment: then it is merged."""
        self._permits.spend(permit, effect=EFFECT_WITHDRAW, key=key)
        pull = self._forge.by_word(self._proposals.base, key_line(proposal), _withdrawal(key))
        if pull is None or pull.state is not State.OPEN:
            return pull is not None and pull.state is State.CLOSED and has_line(pull.body, _withdrawal(key))
        marks = f"{_withdrawn(proposal)}\n{_withdrawal(key)}"
        return self._close(pull, f"Withdrawn: {reason}", pull.body.replace(key_line(proposal), marks))

    def observe(self, key: str) -> Observation:
        """See `VcsPort.observe`: asks the base, and where it has lost the key, the forge."""
        try:
            found = self._proposals.landed(key)
            if found is not None:
                return Observation.done({"revision": found.revision})
            pull = self._forge.by_word(self._proposals.base, key_line(key), _withdrawn(key), _withdrawal(key))
            if pull is None:
                return Observation.absent("no commit and no pull request carries the key")
            if has_line(pull.body, _withdrawal(key)):
                closed = pull.state is State.CLOSED
                return (
                    Observation.done({"withdrawn": True})
                    if closed
                    else Observation.absent(f"{pull.url} is {pull.state}")
                )
            if pull.state is not State.MERGED:
                return Observation.absent(f"{pull.url} is {pull.state}: a repeated call takes it up")
            landed = self._proposals.merged(key, pull.merged_as, pull.body)
        except OutcomeUnknown as problem:
            return Observation.unknown(str(problem))
        if landed is None:
            return Observation.unknown(f"{pull.url} is merged, and {self._proposals.base} does not show it yet")
        return Observation.done({"revision": landed})

    def check(self) -> str:
        """See `VcsPort.check`."""
        return f"{self._git.check(f'{OURS}check')}; {self._forge.check(self._proposals.base)}"

    # -- one change -------------------------------------------------------------------------------------------------

    def _carry_out(self, change: Change) -> str:
        done = self._proposals.landed(change.key)
        if done is not None:
            return done.revision
        pull = self._forge.by_branch(change.branch)
        if pull is None or (pull.state is State.CLOSED and has_line(pull.body, _withdrawn(change.key))):
            title, _, rest = self._proposals.propose(change).partition("\n")
            body = f"{_RULE}\n\n{rest.strip()}"  # the trailers stay last: some forges make a commit's message of it
            pull = self._forge.open(branch=change.branch, base=self._proposals.base, title=title[:_TITLE], body=body)
        if not has_line(pull.body, key_line(change.key), _withdrawn(change.key)):
            raise ConflictError(
                f"{pull.url} is on our branch {change.branch} and does not carry the key: it is not ours"
            )
        return self._await(pull, change)

    def _await(self, pull: PullRequest, change: Change) -> str:
        deadline = self._clock.monotonic() + self._patience.total_seconds()
        while True:
            note = ""
            try:
                pull = self._forge.get(pull.number)
                landed = self._look(pull, change)
                if landed is not None:
                    return landed
            except (DependencyUnavailable, DependencyTimeout) as problem:
                if _is_final(problem):
                    raise
                note = f"; and now it cannot be asked: {problem.problem}"
            left = deadline - self._clock.monotonic()
            if left <= 0:
                raise self._too_late(pull, note)
            self._clock.sleep(min(self._poll, timedelta(seconds=left)))

    def _look(self, pull: PullRequest, change: Change) -> str | None:
        """Return the commit on the base once it is there, None while there is something to wait for."""
        if pull.state is State.MERGED:
            return self._proposals.merged(change.key, pull.merged_as, pull.body)
        if pull.state is State.CLOSED:
            raise ConflictError(self._refusal(pull))
        failed = self._forge.failed_checks(pull) if pull.blocked else ()
        if failed:
            raise ChecksFailed(
                self._forge.name,
                f"the checks of {pull.url} failed: {', '.join(failed)[:200]}",
                "Look at them and run them again; the next attempt goes on waiting for the same request",
            )
        moved = self._proposals.moved(pull.branch)
        if moved or pull.conflicts:
            return self._withdraw(pull, change, moved or f"it conflicts with {self._proposals.base}")
        if pull.behind:
            self._proposals.renew(pull.branch, change.key)
        return None

    def _withdraw(self, pull: PullRequest, change: Change, reason: str) -> str | None:
        """Close a request whose base is gone. Somebody may merge it in the same moment: then it is merged."""
        body = pull.body.replace(key_line(change.key), _withdrawn(change.key))
        if not self._close(pull, f"Withdrawn: {reason}. It would not give what was asked for any more.", body):
            return None
        raise ConflictError(f"{pull.url} was withdrawn: {reason}; read the values again and decide anew")

    def _close(self, pull: PullRequest, comment: str, body: str) -> bool:
        """Close a request and look back; False when it was merged first, by which some forges refuse to close it."""
        try:
            self._forge.close(pull.number, comment, body)
        except (InvalidInput, ConflictError):
            if self._forge.get(pull.number).state is State.OPEN:
                raise
        state = self._forge.get(pull.number).state
        if state is State.OPEN:
            raise DependencyLied(self._forge.name, f"{pull.url} was closed and is still open", "Close it by hand")
        return state is State.CLOSED

    def _refusal(self, pull: PullRequest) -> str:
        said = self._forge.last_word(pull.number)
        reason = said.block() if said is not None else "nobody said why"
        return f"{pull.url} was closed without a merge: {reason}"

    def _too_late(self, pull: PullRequest, note: str) -> DependencyTimeout | DependencyLied:
        seconds = self._patience.total_seconds()
        if pull.state is State.MERGED and not note:
            return DependencyLied(
                self._forge.name,
                f"{pull.url} is said to be merged as {pull.merged_as[:12] or 'nothing'}, and {self._proposals.base} "
                f"does not show it after {seconds:g} s",
                "Check that values.remote and values.forge are the same project",
            )
        return ApprovalPending(
            self._forge.name,
            f"{pull.url} is not merged after {seconds:g} s{note}",
            "Merge or close it; the next attempt goes on waiting for the same request",
        )


def _withdrawn(key: str) -> str:
    """The line that stands in the place of the key in a request we closed ourselves."""
    return f"Evercrew-Withdrawn: {key}"


def _withdrawal(key: str) -> str:
    """The line by which a withdrawal is found again under its own key."""
    return f"Evercrew-Withdrawal: {key}"


def _is_final(problem: DependencyUnavailable | DependencyTimeout) -> bool:
    """Whether looking again later will not help: it is a refusal, and not of too many requests."""
    return isinstance(problem, Refused | AccessRefused | ChecksFailed) and "rate limit" not in problem.problem.lower()


def _change(message: str, trailers: dict[str, str], build: Callable[[str], str]) -> Change:
    """The change, once its message and its names are known to be usable."""
    message_with(message, trailers)
    cycle_id = check_cycle_id(trailers["Evercrew-Cycle"])
    return Change(key=trailers[KEY_TRAILER], cycle_id=cycle_id, message=message, trailers=trailers, build=build)
