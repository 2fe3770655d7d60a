"""The facts a policy decision needs, gathered from the store and the cycle; a fact that cannot be had is a refusal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from adapters.store.base import StorePort
from cycles.desk import APPROVAL
from domain.actor import Actor
from domain.clock import Clock
from domain.errors import InvalidInput
from domain.verdict import Verdict
from policies.context import CycleFacts, policy_context
from policies.contract import Contract
from policies.flags import FeatureFlag, FlagSet
from policies.profiles import Profile
from tools.ask import PolicyContext
from tools.model.retire import RETENTION
from tools.tool import Scope, ToolSpec


class ContextSource:
    """Answers what is true of a cycle and of the day."""

    def __init__(self, store: StorePort, clock: Clock, profile: Profile, contract: Contract) -> None:
        self._store = store
        self._contract = contract
        self._clock = clock
        self._profile = profile
        self._calls: Counter[str] = Counter()

    def __call__(self, scope: Scope, spec: ToolSpec, args: Mapping[str, Any], actor: Actor) -> PolicyContext:
        """Return the context of a decision.

        Raises:
            InvalidInput: the cycle does not exist.
        """
        if scope.cycle_id == RETENTION:
            return self._without_cycle(scope)
        cycle = self._store.cycle(scope.cycle_id)
        if cycle is None:
            raise InvalidInput("cycle_id", f"{scope.cycle_id} is not a cycle", "Open a cycle first")
        self._calls[scope.cycle_id] += 1
        now = self._clock.now()
        digest = str(args.get("digest") or args.get("candidate") or "")
        facts = CycleFacts(
            stage=scope.stage,
            cycles_today=self._store.cycles_on(cycle.opened_at),
            max_cycles_per_day=self._profile.max_cycles_per_day,
            budget_left_cents=self._budget_left(cycle.facts),
            hour=now.hour,
            calls=self._calls[scope.cycle_id],
            tombstoned=bool(digest) and self._store.tombstone(digest) is not None,
            approved=self._approved(scope, spec),
            approval_needed=self._contract.signal(cycle.alert.signal).needs_approval
            and self._profile.approver == "person",
            verdict_evaluate=Verdict(cycle.facts.get("verdict_evaluate", "insufficient")),
            verdict_ab=Verdict(cycle.facts.get("verdict_ab", "insufficient")),
            signal=cycle.alert.signal,
            watch_silences=self._profile.watch.silences,
        )
        return policy_context(self._flags(), scope.environment, facts)

    def _without_cycle(self, scope: Scope) -> PolicyContext:
        """What the clock has done belongs to no cycle: nothing was approved or judged, and no alert asked for it."""
        now = self._clock.now()
        facts = CycleFacts(
            stage=scope.stage,
            cycles_today=self._store.cycles_on(now),
            max_cycles_per_day=self._profile.max_cycles_per_day,
            budget_left_cents=self._budget_left({}),
            hour=now.hour,
            calls=0,
            tombstoned=False,
        )
        return policy_context(self._flags(), scope.environment, facts)

    def _flags(self) -> FlagSet:
        rows = (
            FeatureFlag(name=r.name, enabled=r.enabled, environment=r.environment, details=r.details)
            for r in self._store.flags()
        )
        return FlagSet(rows, defaults=self._profile.flag_defaults())

    def _budget_left(self, facts: Mapping[str, Any]) -> int:
        return round(100 * (self._profile.budget.cycle_usd - float(facts.get("cost_usd", 0.0))))

    def _approved(self, scope: Scope, spec: ToolSpec) -> bool:
        given = self._store.recordings(scope.cycle_id, f"{APPROVAL}{spec.name}")
        return any(record.payload.get("person", True) for record in given)
