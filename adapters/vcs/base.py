"""The values repository port: desired state changes by git, and by nothing else.

Contract: a commit carries trailers ``Evercrew-Cycle`` and ``Evercrew-Key``; the same key is committed once. A push
that loses a race is rebased when the file is untouched by the other side, else a ConflictError. Nothing is pushed
that does not parse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from domain.errors import ConflictError, DependencyTimeout
from domain.observation import Observation
from domain.permit import Permit

EFFECT_COMMIT = "vcs.commit"
EFFECT_REVERT = "vcs.revert"
EFFECT_WITHDRAW = "vcs.withdraw"
AUDIT_TRAILER = "Evercrew-Audit"
"""In a commit's trailers: how many records the audit chain has, and how the hash of the last one begins."""


class ApprovalPending(DependencyTimeout):
    """A change waits for a person's approval at a forge. Asked again under the same key, the same one is waited for."""


class NothingToRevert(ConflictError):
    """A revert would change nothing: the commit changed nothing itself, or was taken back before. It stays so."""


class Commit(BaseModel):
    """One commit. The message is what its author wrote: untrusted."""

    model_config = ConfigDict(frozen=True)

    revision: str
    author: str
    at: datetime
    message: str
    trailers: Mapping[str, str] = Field(default_factory=dict)


class VcsPort(Protocol):
    """One file of values on one branch of a remote."""

    @property
    def reviewed(self) -> bool:
        """Whether a change waits for a person's approval first, and can be withdrawn until then."""
        ...

    def head(self) -> str:
        """Fetch and return the branch's revision (40 hexadecimal digits)."""
        ...

    def read(self, revision: str | None = None) -> str:
        """Return the text of the values file at a revision (default: the fetched head)."""
        ...

    def history(self, limit: int = 20, since: datetime | None = None) -> Sequence[Commit]:
        """Return commits that touch the values file, newest first."""
        ...

    def contains(self, revision: str) -> bool:
        """Fetch, and return whether the revision is part of the branch's history still; a rewritten branch lacks it."""
        ...

    def diff(self, older: str, newer: str) -> str:
        """Return the unified diff of the values file between two revisions."""
        ...

    def commit(
        self, *, text: str, message: str, expected_head: str, cycle_id: str, key: str, permit: Permit | None
    ) -> str:
        """Write the values file, commit, push, and return the revision.

        Raises:
            ConflictError: the remote moved away from `expected_head` and touched the file, or a person refused.
            ApprovalPending: it is proposed, and nobody has decided yet.
            DependencyUnavailable: the remote cannot be reached; nothing was pushed.
            OutcomeUnknown: it was pushed, or merged, and is not what the branch shows.
        """
        ...

    def rehearse_revert(self, revision: str) -> str:
        """Return the text the values file would have after reverting `revision` on the head, without changing anything.

        Raises:
            ConflictError: the revert does not apply.
        """
        ...

    def rehearse_change(self, text: str) -> str:
        """Return the text the values file would have after committing `text` on the head and reverting that commit.

        Nothing is pushed and the head does not move; a caller expects the present text.

        Raises:
            ConflictError: the revert would not apply, or `text` changes nothing.
        """
        ...

    def revert(self, *, revision: str, message: str, cycle_id: str, key: str, permit: Permit | None) -> str:
        """Commit and push the revert of `revision`, and return the new revision.

        Raises:
            ConflictError: the revert does not apply. NothingToRevert: there is nothing to take back.
        """
        ...

    def withdraw(self, *, proposal: str, reason: str, key: str, permit: Permit | None) -> bool:
        """Take back the change that is proposed under the key `proposal`, and say why.

        True when nobody can merge it any more, because of this call or an earlier one under `key`; False when there
        was nothing to withdraw: it was never proposed, a person closed it, or it is merged. `observe` of the proposal
        tells the last from the others.

        Raises:
            DependencyError: whether it is still open is not known.
        """
        ...

    def observe(self, key: str) -> Observation:
        """Return what became of the commit, revert or withdrawal with this key.

        The outcome of a commit or revert has ``revision``, that of a withdrawal ``withdrawn``.
        """
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        ...
