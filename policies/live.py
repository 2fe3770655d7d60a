"""A decision point whose policy set may change while it is asked.

A changed set is put in force when it has stopped changing, holds together and allows nothing that none may allow. Any
other leaves the old one in force and is told loudly. Where no good set was ever seen, everything is denied.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from domain.access import AccessRequest
from domain.decision import AuthorizationRequest, Decision
from domain.errors import EvercrewError, PolicySetBroken
from policies.invariants import violated
from policies.pdp import BrokenPolicies, DecisionPoint, PolicyDecisionPoint, hash_of

EVERY = timedelta(seconds=1)


@dataclass(frozen=True)
class Stamp:
    """What a look at the files costs little to find out: `mark` differs when one of them may have changed.

    `age` is how long ago the last of them did, None where that cannot be told.
    """

    mark: Hashable
    age: timedelta | None


class PolicySource(Protocol):
    """Where the files of a set are read."""

    def stamp(self) -> Stamp:
        """Look, cheaply.

        Raises:
            PolicySetBroken: they cannot be looked at.
        """
        ...

    def read(self) -> Mapping[str, bytes]:
        """Return name -> content.

        Raises:
            PolicySetBroken: they cannot be read.
        """
        ...


@dataclass(frozen=True)
class PolicyChange:
    """A changed set: taken into force, or kept out of it because of `problem`; `before` is the hash of the old one."""

    taken: bool
    policy_hash: str
    before: str
    problem: str = ""

    def said(self) -> str:
        """Return it in a sentence."""
        if self.taken:
            return f"the policy set {self.policy_hash[:12]} is in force (before: {self.before[:12] or 'none'})"
        stays = f"the set {self.before[:12]} stays in force" if self.before else "everything is denied"
        return f"the policy set on disk is not in force: {self.problem}; {stays}"


class LivePolicies:
    """Decides by the newest good set; threads share it.

    Args:
        monotonic: seconds of a clock that never goes back.
        told: told of every change; a set that cannot be told of is not put in force.
        every: how often the files are looked at, at most, and how long they must have been left alone.
    """

    def __init__(
        self,
        source: PolicySource,
        *,
        monotonic: Callable[[], float],
        told: Callable[[PolicyChange], None] = lambda change: None,
        every: timedelta = EVERY,
    ) -> None:
        self._source = source
        self._monotonic = monotonic
        self._told = told
        self._every = every
        self._lock = threading.Lock()
        self._judged: Hashable = None
        self._seen: Hashable = None
        self._problem = ""
        self._point: DecisionPoint = BrokenPolicies("no set was loaded yet")
        self._sets: dict[str, Mapping[str, bytes]] = {}
        self._next = monotonic() + every.total_seconds()
        self._first()

    @property
    def policy_hash(self) -> str:
        """Hash of the set in force; empty when there is none."""
        return self._point.policy_hash

    def files(self, policy_hash: str) -> Mapping[str, bytes]:
        """Return the files of a set that was in force since this process began; none where it was not."""
        return self._sets.get(policy_hash, {})

    @property
    def problem(self) -> str:
        """Why the set on disk is not the one in force; empty when it is."""
        return self._problem

    def decide(self, request: AuthorizationRequest) -> Decision:
        """Answer by the set in force; never raises."""
        if self._monotonic() >= self._next:
            self.look()
        return self._point.decide(request)

    def permits(self, request: AccessRequest) -> Decision:
        """Answer by the set in force whether somebody may use the service for something; never raises."""
        if self._monotonic() >= self._next:
            self.look()
        return self._point.permits(request)

    def look(self) -> None:
        """Look at the files now; of several threads one does, the others go on with what is in force."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._look()
        finally:
            self._next = self._monotonic() + self._every.total_seconds()
            self._lock.release()

    def check(self) -> str:
        """Return one line for `doctor`.

        Raises:
            PolicySetBroken: the set on disk is not in force, and why.
        """
        self.look()
        if self._problem:
            raise PolicySetBroken(PolicyChange(False, "", self.policy_hash, self._problem).said())
        return f"set {self.policy_hash[:12]} in force"

    def _first(self) -> None:
        """Load what is there, settled or not: without it nothing is allowed anyway."""
        try:
            stamp = self._source.stamp()
            self._judge(stamp.mark)
        except PolicySetBroken as problem:
            self._kept_out(str(problem))

    def _look(self) -> None:
        try:
            stamp = self._source.stamp()
            if stamp.mark == self._judged:
                return
            settled = stamp.mark == self._seen or (stamp.age is not None and stamp.age >= self._every)
            self._seen = stamp.mark
            if settled:
                self._judge(stamp.mark)
        except PolicySetBroken as problem:
            self._judged = None
            self._kept_out(str(problem))

    def _judge(self, mark: Hashable) -> None:
        """Put the files into force, or not; that they did not change while they were read is looked at once more."""
        files = self._source.read()
        if self._source.stamp().mark != mark:
            return
        if hash_of(files) == self.policy_hash:
            if not self._problem or self._heard(PolicyChange(True, self.policy_hash, self.policy_hash)):
                self._judged, self._problem = mark, ""
            return
        try:
            point = PolicyDecisionPoint.from_files(files)
        except PolicySetBroken as problem:
            self._judged = mark
            self._kept_out(str(problem))
            return
        allowed = violated(point)
        if allowed:
            self._judged = mark
            self._kept_out(f"it would allow {'; '.join(allowed)}")
            return
        self._take(point, mark)

    def _take(self, point: PolicyDecisionPoint, mark: Hashable) -> None:
        self._sets[point.policy_hash] = point.files
        if self._heard(PolicyChange(True, point.policy_hash, self.policy_hash)):
            self._point, self._judged, self._problem = point, mark, ""

    def _kept_out(self, problem: str) -> None:
        """Keep what is in force, and tell why, once."""
        if problem == self._problem:
            return
        self._problem = problem
        if not self.policy_hash:
            self._point = BrokenPolicies(problem)
        if not self._heard(PolicyChange(False, "", self.policy_hash, problem)):
            self._judged = None  # told again at the next look, until it is on record

    def _heard(self, change: PolicyChange) -> bool:
        try:
            self._told(change)
        except EvercrewError as unheard:
            said = change.problem or f"the set {change.policy_hash[:12]} is good"
            self._problem = f"{said}; it could not be put on record: {unheard}"
            return False
        return True
