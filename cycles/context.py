"""The facts a policy decision needs, gathered from the store and the cycle; a fact that cannot be had is a refusal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from adapters.store.base import StorePort
from cycles.limits import PROMOTE, Promoted, cooling, promoted_before, share_bp
from cycles.switches import flag_set, flags_of
from cycles.wishes import held_back
from domain.actor import Actor
from domain.autonomy import Level
from domain.clock import Clock
from domain.cycle import Cycle
from domain.decision import Effect
from domain.errors import InvalidInput
from domain.ids import TALK
from domain.verdict import Verdict
from policies.context import CycleFacts, policy_context
from policies.contract import Contract
from policies.flags import FlagSet
from policies.profiles import Profile
from tools.ask import PolicyContext
from tools.model.retire import RETENTION
from tools.purse import Purse
from tools.tool import Scope, ToolSpec


class ContextSource:
    """Answers what is true of a cycle and of the day."""

    def __init__(
        self,
        store: StorePort,
        clock: Clock,
        profile: Profile,
        contract: Contract,
        purse: Purse | None = None,
        autonomy: Callable[[str, str], str] | None = None,
        live: Callable[[], Contract] | None = None,
    ) -> None:
        self._rules: Callable[[], Contract] = live or (lambda: contract)
        self._autonomy = autonomy or _unearned(profile)
        self._purse = purse
        self._store = store
        self._clock = clock
        self._profile = profile
        self._limits = profile.limits
        self._calls: Counter[str] = Counter()

    def __call__(self, scope: Scope, spec: ToolSpec, args: Mapping[str, Any], actor: Actor) -> PolicyContext:
        """Return the context of a decision.

        Raises:
            InvalidInput: the cycle does not exist.
        """
        if scope.cycle_id == RETENTION or TALK.match(scope.cycle_id):
            return self._without_cycle(scope, spec, args, actor)
        digest = str(args.get("digest") or args.get("candidate") or "")
        moment = self._store.moment(scope.cycle_id, digest)
        if moment is None:
            raise InvalidInput("cycle_id", f"{scope.cycle_id} is not a cycle", "Open a cycle first")
        cycle = moment.cycle
        self._calls[scope.cycle_id] += 1
        now = self._clock.now()
        promoted = self._promoted(cycle, spec)
        facts = CycleFacts(
            stage=scope.stage,
            cycles_today=moment.cycles_that_day,
            max_cycles_per_day=self._profile.max_cycles_per_day,
            budget_left_cents=self._budget_left(scope, cycle.facts),
            hour=now.hour,
            calls=self._calls[scope.cycle_id],
            tombstoned=moment.entombed,
            window_open=self._profile.windows.open_at(now),
            cooling_down=spec.effect is not Effect.READ and cooling(self._store, self._profile, cycle, now) is not None,
            models_today=promoted.today,
            models_at_once=promoted.at_once,
            share_bp=share_bp(args),
            max_models_per_day=self._limits.max_models_per_day,
            max_models_at_once=self._limits.max_models_at_once,
            max_share_bp=self._limits.max_share_bp,
            approval_needed=self._rules().signal(cycle.alert.signal).needs_approval,
            verdict_evaluate=Verdict(cycle.facts.get("verdict_evaluate", "insufficient")),
            verdict_ab=Verdict(cycle.facts.get("verdict_ab", "insufficient")),
            signal=cycle.alert.signal,
            watch_silences=self._profile.watch.silences,
            held_back=held_back(cycle) or None,
            autonomy=Level(self._autonomy(spec.name, scope.environment)).value,
        )
        return self._told(facts, flag_set(moment.flags, self._profile), scope, spec, actor)

    def _without_cycle(self, scope: Scope, spec: ToolSpec, args: Mapping[str, Any], actor: Actor) -> PolicyContext:
        """What the clock has done, or an operator asks, belongs to no cycle: nothing was approved or judged."""
        now = self._clock.now()
        facts = CycleFacts(
            stage=scope.stage,
            cycles_today=self._store.cycles_on(now),
            max_cycles_per_day=self._profile.max_cycles_per_day,
            budget_left_cents=self._budget_left(scope, {}),
            hour=now.hour,
            calls=0,
            tombstoned=False,
            window_open=self._profile.windows.open_at(now),
            cooling_down=False,
            models_today=0,
            models_at_once=0,
            share_bp=share_bp(args),
            max_models_per_day=self._limits.max_models_per_day,
            max_models_at_once=self._limits.max_models_at_once,
            max_share_bp=self._limits.max_share_bp,
        )
        return self._told(facts, flags_of(self._store, self._profile), scope, spec, actor)

    @staticmethod
    def _told(facts: CycleFacts, flags: FlagSet, scope: Scope, spec: ToolSpec, actor: Actor) -> PolicyContext:
        return policy_context(flags, scope.environment, facts, role=actor.role.value, tool=spec.name)

    def _promoted(self, cycle: Cycle, spec: ToolSpec) -> Promoted:
        """How many models went before this one; to ask for a promotion whose gates have passed takes a place.

        Two cycles that ask at once cannot both be told that they are the first.
        """
        if spec.name != PROMOTE:
            return Promoted(0, 0)
        ready = all(cycle.facts.get(name) == Verdict.PASS.value for name in ("verdict_evaluate", "verdict_ab"))
        return promoted_before(self._store, cycle, self._clock.now(), claim=ready)

    def _budget_left(self, scope: Scope, facts: Mapping[str, Any]) -> int:
        if self._purse is not None:
            return self._purse.left_cents(scope)
        return round(100 * (self._profile.budget.cycle_usd - float(facts.get("cost_usd", 0.0))))


def _unearned(profile: Profile) -> Callable[[str, str], str]:
    """Return the levels where no record is kept: what has to be earned is not."""
    level = Level.ACT if profile.autonomy.mode == "act" else Level.APPROVE
    return lambda tool, environment: level.value
