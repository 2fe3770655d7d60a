"""What no policy set may allow, whatever its text says: asked of a set before it is put in force.

A half-copied folder is valid Cedar when the file with the forbids is missing. So the set is asked the questions whose
only right answer is no.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from domain.actor import Actor, Role
from domain.decision import AuthorizationRequest, Effect
from policies.access import access_violated
from policies.context import CycleFacts, policy_context
from policies.flags import FEATURES, KILL_SWITCH, FlagSet
from policies.pdp import DecisionPoint

# Everything is well, everything is approved: what is forbidden here is forbidden always.
_WELL: dict[str, Any] = {
    **policy_context(
        FlagSet(defaults=dict.fromkeys(FEATURES, True)),
        "dev",
        CycleFacts(
            stage="promote",
            cycles_today=1,
            max_cycles_per_day=6,
            budget_left_cents=500,
            hour=12,
            calls=1,
            tombstoned=False,
            window_open=True,
            cooling_down=False,
            models_today=0,
            max_models_per_day=3,
            models_at_once=0,
            max_models_at_once=1,
            share_bp=2000,
            max_share_bp=5000,
            approved=True,
            autonomy="act",
        ),
    ),
    "gates_passed": True,
    "verdict_evaluate": "pass",
    "verdict_ab": "pass",
}
_WRITES = {
    "promote": Effect.IRREVERSIBLE,
    "ab_start": Effect.WRITE,
    "apply_tuning": Effect.WRITE,
    "train_model": Effect.WRITE,
    "dataset_version": Effect.WRITE,
}
_NEVER: tuple[tuple[str, tuple[str, ...], dict[str, Any]], ...] = (
    ("an effect under the kill switch", tuple(_WRITES), {KILL_SWITCH: True}),
    ("an effect where self-improvement is off", tuple(_WRITES), {"self_improvement_enabled": False}),
    ("a promotion that no gate passed", ("promote",), {"gates_passed": False, "verdict_evaluate": "fail"}),
    ("a promotion whose evaluation is insufficient", ("promote",), {"verdict_evaluate": "insufficient"}),
    ("a promotion whose test is an error", ("promote",), {"verdict_ab": "error"}),
    ("a promotion of a model that was rolled back before", ("promote",), {"tombstoned": True}),
    ("a promotion outside its stage", ("promote",), {"stage": "train"}),
)


def violated(point: DecisionPoint) -> list[str]:
    """Return what the set allows that none may allow, in words; nothing for a sound set."""
    found = [what for what, tools, changed in _NEVER if any(_allowed(point, tool, changed) for tool in tools)]
    if any(point.decide(_request(tool, actor, {}, environment="nowhere")).allowed for tool, actor in _asked()):
        found.append("an effect in an environment nobody knows")
    return [*found, *access_violated(point)]


def _allowed(point: DecisionPoint, tool: str, changed: dict[str, Any]) -> bool:
    return any(point.decide(_request(tool, actor, changed)).allowed for asked, actor in _asked() if asked == tool)


def _asked() -> Iterator[tuple[str, Actor]]:
    for tool in _WRITES:
        for role in Role:
            yield tool, Actor(role=role)
            yield tool, Actor(role=role, via="agent")
            yield tool, Actor(role=role, person="a person")


def _request(tool: str, actor: Actor, changed: dict[str, Any], *, environment: str = "dev") -> AuthorizationRequest:
    return AuthorizationRequest(
        actor=actor,
        tool=tool,
        effect=_WRITES[tool],
        target="search",
        environment=environment,
        context={**_WELL, **changed},
    )
