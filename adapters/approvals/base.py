"""The approvals port: requests for a person's approval, the votes on them, and their one use.

Contract: a request is kept under the hash of all that it is for, so the same call asked again finds the same request,
and another call never does. A change is one transaction that first takes the request: of two that come at once, from
whichever thread, process or machine, the second sees what the first did. `use` gives a granted request to one key and
to no other, ever; the same key finds it again. Nothing is deleted, and nothing that ended begins again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from domain.approval import ApprovalRequest, Vote


class ApprovalsPort(Protocol):
    """Keeps requests. Every method raises a DependencyError when the place they are kept in cannot be used."""

    def open(self, request: ApprovalRequest) -> ApprovalRequest:
        """Keep a request unless it is known, and return the one that is kept."""
        ...

    def request(self, identity: str) -> ApprovalRequest | None:
        """Return a request, or None."""
        ...

    def requests(
        self, *, cycle_id: str = "", waiting_at: datetime | None = None, limit: int = 100
    ) -> Sequence[ApprovalRequest]:
        """Return requests, newest first: all, those of a cycle, or those that could still be decided at a time."""
        ...

    def denied(self, target: str, environment: str, limit: int = 5) -> Sequence[ApprovalRequest]:
        """Return what was denied there, newest first."""
        ...

    def vote(self, identity: str, vote: Vote) -> ApprovalRequest:
        """Add a vote, and return the request with it.

        Raises:
            ConflictError: it cannot be voted on, or not by this person. InvalidInput: there is no such request.
        """
        ...

    def withdraw(self, identity: str, reason: str) -> ApprovalRequest:
        """End a request that is neither used nor ended; for another nothing changes.

        Raises:
            InvalidInput: there is no such request.
        """
        ...

    def use(self, identity: str, *, key: str, at: datetime) -> ApprovalRequest | None:
        """Use a granted request up for the call under `key`; None when it is not granted, or another key has it."""
        ...

    def used_by(self, key: str) -> Sequence[ApprovalRequest]:
        """Return what a call has used up, newest first."""
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        ...
