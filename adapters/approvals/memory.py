"""Approvals in memory, for tests and for what lives as long as its process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime

from domain.approval import ApprovalRequest, ApprovalState, Vote
from domain.errors import InvalidInput

_OPEN = (ApprovalState.WAITING, ApprovalState.GRANTED)


class MemoryApprovals:
    """An `ApprovalsPort` on a dictionary."""

    def __init__(self) -> None:
        self._requests: dict[str, ApprovalRequest] = {}
        self._lock = threading.RLock()

    def open(self, request: ApprovalRequest) -> ApprovalRequest:
        """See `ApprovalsPort.open`."""
        with self._lock:
            return self._requests.setdefault(request.id, request)

    def request(self, identity: str) -> ApprovalRequest | None:
        """See `ApprovalsPort.request`."""
        return self._requests.get(identity)

    def requests(
        self, *, cycle_id: str = "", waiting_at: datetime | None = None, limit: int = 100
    ) -> Sequence[ApprovalRequest]:
        """See `ApprovalsPort.requests`."""
        found = [r for r in self._newest() if not cycle_id or r.binding.cycle_id == cycle_id]
        return [r for r in found if waiting_at is None or r.state(waiting_at) in _OPEN][:limit]

    def denied(self, target: str, environment: str, limit: int = 5) -> Sequence[ApprovalRequest]:
        """See `ApprovalsPort.denied`."""
        there = (r for r in self._newest() if (r.binding.target, r.binding.environment) == (target, environment))
        return [r for r in there if r.denial is not None][:limit]

    def vote(self, identity: str, vote: Vote) -> ApprovalRequest:
        """See `ApprovalsPort.vote`."""
        with self._lock:
            return self._kept(self._known(identity).voted(vote))

    def withdraw(self, identity: str, reason: str) -> ApprovalRequest:
        """See `ApprovalsPort.withdraw`."""
        with self._lock:
            return self._kept(self._known(identity).taken_back(reason))

    def use(self, identity: str, *, key: str, at: datetime) -> ApprovalRequest | None:
        """See `ApprovalsPort.use`."""
        with self._lock:
            used = self._known(identity).used(key, at)
            return None if used is None else self._kept(used)

    def used_by(self, key: str) -> Sequence[ApprovalRequest]:
        """See `ApprovalsPort.used_by`."""
        return [request for request in self._newest() if request.used_by == key]

    def check(self) -> str:
        """See `ApprovalsPort.check`."""
        return f"approvals: in memory, {len(self._requests)} requests"

    def _newest(self) -> list[ApprovalRequest]:
        with self._lock:
            return sorted(self._requests.values(), key=lambda request: (request.asked_at, request.id), reverse=True)

    def _known(self, identity: str) -> ApprovalRequest:
        found = self._requests.get(identity)
        if found is None:
            raise no_such_request(identity)
        return found

    def _kept(self, request: ApprovalRequest) -> ApprovalRequest:
        self._requests[request.id] = request
        return request


def no_such_request(identity: str) -> InvalidInput:
    """Return the error of a request that is not there."""
    return InvalidInput("approval", f"there is no request {identity}", "See `evercrew approvals list --all`")
