"""What people have denied on a target: the next question to a crew carries it, so that it is not asked for again."""

from __future__ import annotations

from adapters.approvals.base import ApprovalsPort
from cycles.tape import current
from domain.approval import Denial

MOST = 5


def denials(store: ApprovalsPort, target: str, environment: str) -> tuple[Denial, ...]:
    """Return what was denied there, newest first.

    Raises:
        DependencyError: it cannot be found out.
    """

    def look() -> tuple[Denial, ...]:
        found = (Denial.of(request) for request in store.denied(target, environment, MOST))
        return tuple(denial for denial in found if denial is not None)

    tape = current()
    return look() if tape is None else tape.read("denials", look, tuple[Denial, ...])
