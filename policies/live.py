"""A decision point whose policy set may change while it is asked.

A changed set is put in force when it has stopped changing, holds together and allows nothing that none may allow. Any
other leaves the old one in force and is told loudly. Where no good set was ever seen, everything is denied.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from domain.access import AccessRequest
from domain.decision import AuthorizationRequest, Decision
from domain.errors import PolicySetBroken
from policies.invariants import violated
from policies.pdp import BrokenPolicies, DecisionPoint, PolicyDecisionPoint, hash_of
from policies.watched import EVERY, PolicySource, Watched


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

    def good(self) -> str:
        """Return that the set is good."""
        return f"the set {self.policy_hash[:12]} is good"


class LivePolicies(Watched[PolicyChange]):
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
        super().__init__(source, monotonic=monotonic, told=told, every=every, bad=(PolicySetBroken,))
        self._point: DecisionPoint = BrokenPolicies("no set was loaded yet")
        self._sets: dict[str, Mapping[str, bytes]] = {}
        self._first()

    @property
    def policy_hash(self) -> str:
        """Hash of the set in force; empty when there is none."""
        return self._point.policy_hash

    def files(self, policy_hash: str) -> Mapping[str, bytes]:
        """Return the files of a set that was in force since this process began; none where it was not."""
        return self._sets.get(policy_hash, {})

    def decide(self, request: AuthorizationRequest) -> Decision:
        """Answer by the set in force; never raises."""
        self._look_when_due()
        return self._point.decide(request)

    def permits(self, request: AccessRequest) -> Decision:
        """Answer by the set in force whether somebody may use the service for something; never raises."""
        self._look_when_due()
        return self._point.permits(request)

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

    def _judge(self, mark: Hashable) -> None:
        files = self._read_still(mark)
        if files is None:
            return
        if hash_of(files) == self.policy_hash:
            if not self._problem or self._heard(PolicyChange(True, self.policy_hash, self.policy_hash)):
                self._judged, self._problem = mark, ""
            return
        try:
            point = PolicyDecisionPoint.from_files(files)
        except PolicySetBroken as problem:
            self._refused(mark, problem)
            return
        allowed = violated(point)
        if allowed:
            self._refused(mark, f"it would allow {'; '.join(allowed)}")
            return
        self._take(point, mark)

    def _take(self, point: PolicyDecisionPoint, mark: Hashable) -> None:
        self._sets[point.policy_hash] = point.files
        if self._heard(PolicyChange(True, point.policy_hash, self.policy_hash)):
            self._point, self._judged, self._problem = point, mark, ""

    def _out(self, problem: str) -> PolicyChange:
        if not self.policy_hash:
            self._point = BrokenPolicies(problem)
        return PolicyChange(False, "", self.policy_hash, problem)
