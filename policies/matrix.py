"""Who may do what where, found out by asking the decision point under stated contexts, not by reading its text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from domain.actor import Actor, Role
from domain.decision import Answer, AuthorizationRequest, Decision, Effect
from domain.stage import Stage
from domain.verdict import Verdict
from policies.context import CycleFacts, policy_context
from policies.flags import FlagSet
from policies.invariants import violated
from policies.pdp import DecisionPoint, PolicyDecisionPoint
from policies.profiles import Profile

Via = Literal["engine", "agent", "person"]
VIAS: tuple[Via, ...] = ("engine", "agent", "person")
SOMEBODY = "a person"
# The stage at which a tool is asked for where the policies look at it; any other is asked for at `OTHERWISE`.
STAGES: Mapping[str, str] = {
    "promote": "promote",
    "roll_back": "roll_back",
    "silence_alerts": "watch",
    "retire_models_and_data": "retention",
}
OTHERWISE = "plan"
_WORDS = {Answer.ALLOW: "allow", Answer.ESCALATE: "approval", Answer.DENY: "never"}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Cell(_Frozen):
    """The answers to one role for one tool in one environment, by who asks: ``allow``, ``approval`` or ``never``."""

    tool: str
    role: str
    environment: str
    answers: Mapping[str, str]

    @property
    def word(self) -> str:
        """The answers in a word: for whom, where it is not the same for all."""
        said = {word: [via for via in VIAS if self.answers[via] == word] for word in ("allow", "approval")}
        parts = [word if len(vias) == len(VIAS) else f"{word}:{_initials(vias)}" for word, vias in said.items() if vias]
        return " ".join(parts) or "never"


class Flip(_Frozen):
    """One field of the context that would change the answer, by itself."""

    field: str
    value: bool | int | str
    instead: bool | int | str
    answer: str
    policies: tuple[str, ...]


class Explained(_Frozen):
    """One decision: the answer, the policies that made it with their reasons, and what would flip it."""

    tool: str
    role: str
    environment: str
    via: str
    answer: str
    reason: str
    policies: Mapping[str, str]
    policy_hash: str
    context: Mapping[str, bool | int | str]
    flips: tuple[Flip, ...]
    approval: str = ""


def base_context(profile: Profile, tool: str) -> dict[str, Any]:
    """Return the context of a question: all is well, nothing is earned yet, the flags are those of the profile."""
    facts = CycleFacts(
        stage=STAGES.get(tool, OTHERWISE),
        cycles_today=1,
        max_cycles_per_day=profile.max_cycles_per_day,
        budget_left_cents=round(100 * profile.budget.cycle_usd),
        hour=12,
        calls=1,
        tombstoned=False,
        window_open=True,
        cooling_down=False,
        models_today=0,
        max_models_per_day=profile.limits.max_models_per_day,
        models_at_once=0,
        max_models_at_once=profile.limits.max_models_at_once,
        share_bp=round(10_000 * profile.ab.split) if tool == "ab_start" else 0,
        max_share_bp=profile.limits.max_share_bp,
        watch_silences=profile.watch.silences,
        autonomy="act" if profile.autonomy.mode == "act" else "approve",
        verdict_evaluate=Verdict.PASS,
        verdict_ab=Verdict.PASS,
        signal="ndcg_at_10",
    )
    told = policy_context(FlagSet(defaults=profile.flag_defaults()), profile.name, facts)
    return {**told, "needed": False}


def matrix(point: DecisionPoint, tools: Mapping[str, Effect], profiles: Iterable[Profile]) -> list[Cell]:
    """Return a cell for every tool, role and environment."""
    return [
        Cell(
            tool=tool,
            role=role.value,
            environment=profile.name,
            answers={via: _WORDS[_asked(point, tool, effect, role, via, profile).answer] for via in VIAS},
        )
        for profile in profiles
        for tool, effect in sorted(tools.items())
        for role in Role
    ]


def findings(point: PolicyDecisionPoint, tools: Mapping[str, Effect], cells: Iterable[Cell]) -> list[str]:
    """Return what is wrong with the set as a whole: gaps in its coverage, and what it allows that none may."""
    found = [f"the set allows {what}" for what in violated(point)]
    unknown = sorted(set(tools) - set(point.actions))
    found += [f"{tool} is a tool and no action of the schema: nobody can ever use it" for tool in unknown]
    seen: dict[tuple[str, str], bool] = {}
    for cell in cells:
        place = (cell.tool, cell.environment)
        seen[place] = seen.get(place, False) or any(answer != "never" for answer in cell.answers.values())
    found += [
        f"{tool} is permitted to nobody in {environment}"
        for (tool, environment), some in sorted(seen.items())
        if not some and tool not in unknown
    ]
    return found


def explain(
    point: PolicyDecisionPoint,
    *,
    tool: str,
    effect: Effect,
    role: Role,
    via: Via,
    profile: Profile,
    changed: Mapping[str, bool | int | str],
) -> Explained:
    """Return one decision with everything that would flip it by itself."""
    context = {**base_context(profile, tool), **changed}
    decision = _decided(point, tool, effect, role, via, profile.name, context)
    flips = tuple(_flips(point, decision, tool, effect, role, via, profile.name, context))
    return Explained(
        tool=tool,
        role=role.value,
        environment=profile.name,
        via=via,
        answer=_WORDS[decision.answer],
        reason=decision.reason,
        policies={policy: point.reason_of(policy) for policy in decision.policies},
        policy_hash=point.policy_hash,
        context=context,
        flips=flips,
        approval=str(profile.approvals.quorum(tool)) if _WORDS[decision.answer] == "approval" else "",
    )


def _flips(
    point: DecisionPoint,
    before: Decision,
    tool: str,
    effect: Effect,
    role: Role,
    via: Via,
    environment: str,
    context: Mapping[str, bool | int | str],
) -> Iterator[Flip]:
    for field, value in sorted(context.items()):
        for other in _others(field, value, context):
            after = _decided(point, tool, effect, role, via, environment, {**context, field: other})
            if after.answer is not before.answer and after.policies:
                word = _WORDS[after.answer]
                yield Flip(field=field, value=value, instead=other, answer=word, policies=after.policies)
                break


def _others(field: str, value: bool | int | str, context: Mapping[str, bool | int | str]) -> list[bool | int | str]:
    """Return what else a field could say, the nearest first."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        bounds = [int(v) for v in context.values() if isinstance(v, int) and not isinstance(v, bool)]
        near = sorted({0, 1, *bounds, *(bound + 1 for bound in bounds), 1001}, key=lambda n: (abs(n - value), n))
        return [n for n in near if n != value]
    known: dict[str, list[str]] = {
        "stage": [*(stage.value for stage in Stage), "retention"],
        "autonomy": ["act", "approve", "suggest"],
        "signal": ["ndcg_at_10", "latency_p95_ms", "cost_per_1k_requests", "budget_share"],
    }
    if field.startswith("verdict_"):
        return [verdict.value for verdict in Verdict if verdict.value != value]
    return [other for other in known.get(field, []) if other != value]


def _asked(point: DecisionPoint, tool: str, effect: Effect, role: Role, via: Via, profile: Profile) -> Decision:
    return _decided(point, tool, effect, role, via, profile.name, base_context(profile, tool))


def _decided(
    point: DecisionPoint,
    tool: str,
    effect: Effect,
    role: Role,
    via: Via,
    environment: str,
    context: Mapping[str, bool | int | str],
) -> Decision:
    person = SOMEBODY if via == "person" else None
    request = AuthorizationRequest(
        actor=Actor(role=role, via="agent" if via == "agent" else "stage", person=person),
        tool=tool,
        effect=effect,
        target="any",
        environment=environment,
        context=context,
    )
    return point.decide(request)


def _initials(vias: Iterable[str]) -> str:
    return "".join(via[0].upper() for via in vias)
