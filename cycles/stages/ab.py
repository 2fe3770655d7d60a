"""A/B: candidate against champion on live users, read as often as we like by a test that allows it."""

from __future__ import annotations

from typing import Any

from cycles.desk import Desk
from cycles.stages.evaluate import OFFLINE
from cycles.stages.live import arrived
from domain.actor import Role
from domain.measurement import Measurement
from domain.outcome import OutcomeKind
from domain.stage import Stage, StageResult
from domain.verdict import Judgement, Verdict, combine
from learning.gates import judge_gate
from learning.sequential import ArmSummary, SequentialDesign, compare_arms, plan_from_look
from learning.srm import check_sample_ratio
from policies.contract import judge_limits
from tools.deliver.live import AbReadArgs, AbView, ArmView
from tools.deliver.release import AbArgs, AbStopArgs, Released
from tools.model.train import Registered

# Cost is judged once more with users; every gate that could not be read without them is judged here. Latency, which the
# evaluation measured in isolation, is held to its hard limit.
AGAIN = frozenset({"cost_per_1k_requests"})


def run(desk: Desk) -> StageResult:
    """Start the test, or look at it: a pass promotes, a fail or the end of the window takes the candidate out."""
    if desk.fact("ab") is None:
        return _start(desk)
    if desk.fact("ab_lost") is not None:
        return _taken_out(desk)
    ab = desk.fact("ab")
    running = desk.since("ab_since")
    view = desk.do(
        "ab_read", AbReadArgs(revision=ab["revision"]), Role.DEVOPS_ENGINEER, AbView, place=f"look {len(ab['looks'])}"
    )
    _plan(desk, view)
    gates = judge(desk, view)
    overall = conclude(gates)
    looked = {**ab, "looks": [*ab["looks"], _look(desk, view, gates)]}
    desk.keep("ab", looked)
    profile = desk.profile.ab
    if overall.verdict is Verdict.PASS and running >= profile.min_window:
        return _won(desk, view, gates, overall)
    if overall.verdict is Verdict.FAIL or running >= profile.window:
        return _lost(desk, view, gates, overall)
    return StageResult(next=Stage.AB, reason=gates[0].reason, wait=profile.poll)


def _plan(desk: Desk, view: AbView) -> None:
    """Plan the sample from counts of users alone, and keep it; what is seen of later looks can only make it smaller."""
    users, elapsed = view.champion.users + view.candidate.users, desk.since("ab_since")
    if users > 0 and elapsed:
        window = desk.profile.ab.window.total_seconds()
        desk.keep("ab_plan", plan_from_look(users, elapsed.total_seconds(), window, desk.fact("ab_plan")))


def judge(desk: Desk, view: AbView) -> list[Judgement]:
    """Return the judgements of one look: the sequential test, the split, the guardrails."""
    profile = desk.profile.ab
    rule = next(g for g in desk.contract.promotion_gates() if g.name == "ndcg_at_10")
    design = SequentialDesign(
        margin=rule.threshold,
        alpha=profile.alpha,
        min_per_arm=profile.min_users_per_arm,
        planned_users=profile.planned_users or desk.fact("ab_plan"),
        split=profile.split,
    )
    test = _sequential(view, design)
    split = check_sample_ratio(view.champion.exposed, view.candidate.exposed, split=profile.split)
    rules = [g for g in desk.contract.promotion_gates() if g.signal in AGAIN or g.signal not in OFFLINE]
    gates = [judge_gate(g, figure(view.champion, g.signal), figure(view.candidate, g.signal)) for g in rules]
    return [test, split, _latency(desk, view), *gates]


def conclude(gates: list[Judgement]) -> Judgement:
    """Return the verdict of a look.

    The quality gates are read once test, split and latency pass: before, they rest on a handful of users.
    """
    deciding = combine(gates[:3], "ab")
    return combine(gates, "ab") if deciding.passed else deciding


def _latency(desk: Desk, view: AbView) -> Judgement:
    row = desk.contract.signal("latency_p95_ms")
    if view.candidate.exposed < desk.profile.ab.min_users_per_arm:
        reason = f"{view.candidate.exposed} users are too few for a p95"
        return Judgement(verdict=Verdict.INSUFFICIENT, reason=reason, name="latency_p95_ms")
    now, before = view.candidate.latency_p95_ms, view.champion.latency_p95_ms
    return judge_limits("latency_p95_ms", row.bad_direction, row.rollback.limits, now, before)


def figure(arm: ArmView, signal: str) -> Measurement | None:
    """Return what an arm measured of a signal, or None."""
    found = getattr(arm, signal, None)
    return found if isinstance(found, Measurement) else None


def _sequential(view: AbView, design: SequentialDesign) -> Judgement:
    arms = (view.champion, view.candidate)
    if not all(arm.ndcg_mean.usable and arm.ndcg_variance.usable for arm in arms):
        return Judgement(
            verdict=Verdict.INSUFFICIENT, reason="one of the arms has no judged users yet", name="ndcg_at_10"
        )
    summaries = [ArmSummary(a.ndcg_mean.finite(), a.ndcg_variance.finite(), a.users) for a in arms]
    return compare_arms(summaries[0], summaries[1], design).model_copy(update={"name": "ndcg_at_10"})


def _start(desk: Desk) -> StageResult:
    candidate = Registered.model_validate(desk.fact("candidate")).model
    args = AbArgs(candidate=candidate.digest, share=desk.profile.ab.split)
    started = desk.do("ab_start", args, Role.DEVOPS_ENGINEER, Released)
    live = arrived(desk, started.revision)
    if isinstance(live, StageResult):
        return live
    desk.keep(
        "ab",
        {
            "revision": started.revision,
            "started_at": desk.clock.now(),
            "baseline": live.digest,
            "candidate": candidate.digest,
            "looks": [],
        },
    )
    desk.since("ab_since")
    share = f"{desk.profile.ab.split:.0%}"
    return StageResult(next=Stage.AB, reason=f"{share} of the users get the candidate", wait=desk.profile.ab.poll)


def _won(desk: Desk, view: AbView, gates: list[Judgement], overall: Judgement) -> StageResult:
    _write(desk, view, gates, overall)
    desk.keep("verdict_ab", overall.verdict.value)
    return StageResult(next=Stage.PROMOTE, reason=gates[0].reason)


def _lost(desk: Desk, view: AbView, gates: list[Judgement], overall: Judgement) -> StageResult:
    _write(desk, view, gates, overall)
    desk.keep("verdict_ab", overall.verdict.value)
    reason = overall.reason if overall.verdict is not Verdict.PASS else "the window ended"
    desk.keep("ab_lost", reason)
    return _taken_out(desk)


def _taken_out(desk: Desk) -> StageResult:
    """Take the candidate out. The reason comes from the drawer: once it is out, another look would find another one."""
    reason = str(desk.fact("ab_lost"))
    stopped = desk.do("ab_stop", AbStopArgs(reason=reason[:200]), Role.DEVOPS_ENGINEER, Released)
    live = arrived(desk, stopped.revision)
    if isinstance(live, StageResult):
        return live
    return desk.finish(OutcomeKind.NOT_PROMOTED, f"A/B: {desk.fact('verdict_ab')}: {reason}")


def _look(desk: Desk, view: AbView, gates: list[Judgement]) -> dict[str, Any]:
    figures = gates[0].figures
    return {
        "at": desk.clock.now(),
        "users_baseline": view.champion.users,
        "users_candidate": view.candidate.users,
        "baseline_ndcg": view.champion.ndcg_mean.value,
        "candidate_ndcg": view.candidate.ndcg_mean.value,
        "lift": figures.get("lift"),
        "lower": figures.get("lower"),
        "upper": figures.get("upper"),
        "verdict": conclude(gates).verdict,
    }


def _write(desk: Desk, view: AbView, gates: list[Judgement], overall: Judgement) -> None:
    ab = desk.fact("ab")
    passed = overall.verdict is Verdict.PASS
    desk.write(
        "ab_test_results.json",
        {
            "cycle_id": desk.cycle.id,
            "revision": ab["revision"],
            "started_at": ab["started_at"],
            "ended_at": desk.clock.now(),
            "split_ratio": desk.profile.ab.split,
            "baseline_digest": ab["baseline"],
            "candidate_digest": ab["candidate"],
            "looks": ab["looks"],
            "baseline_ndcg": view.champion.ndcg_mean.value,
            "candidate_ndcg": view.candidate.ndcg_mean.value,
            "improvement": gates[0].figures.get("lift"),
            "gates": gates,
            "verdict": overall.verdict,
            "passed_gate": passed,
            "recommendation": "promote" if passed else "rollback",
            "overrides": desk.under(),
            "reason": overall.reason,
        },
    )
